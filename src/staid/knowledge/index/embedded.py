"""Permission-aware search in this process: the store is the truth, the arrays are its echo."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from staid.access.scope import Scope
from staid.domain.errors import EmbedderMismatch, StoreUnavailable
from staid.domain.passage import Retrieval
from staid.domain.ports import Query
from staid.domain.text import terms
from staid.knowledge.index import rows
from staid.knowledge.index.cache import Cache
from staid.knowledge.index.passages import passages_of, signals_of
from staid.knowledge.index.rows import Database
from staid.knowledge.index.state import State, load
from staid.knowledge.index.vector import unpack
from staid.knowledge.index.view import View

MEMORY = 256 * 2**20
"""Bytes of gathered views that are kept for the next query; the newest is always kept."""
_SCOPES = 256


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a scope sees at one position."""

    classes: tuple[int, ...]
    changes: tuple[int, ...]


class EmbeddedIndex:
    """Keeps `domain.ports.Index` over the store of either engine, safe for threads and after forks.

    A query reads the change log's top in its own read transaction, applies what is new, resolves
    the visible classes, ranks over them alone, and reads every winner's rights again. Whatever
    fails on the way fails the query.
    """

    def __init__(
        self, store: Database, embedder_id: str, dimension: int, cache: Path | None = None
    ) -> None:
        """Search what this embedder has embedded; `cache` names the rebuildable file, or none."""
        self._store = store
        self._embedder = embedder_id
        self._dimension = dimension
        self._cache = Cache(cache, embedder_id, dimension) if cache else None
        self._state: State | None = None
        self._forget()

    def search(self, query: Query) -> Retrieval:
        """Return the best passages of the view, ranked; reads every committed change first."""
        vector = unpack(query.vector, self._dimension)
        if os.getpid() != self._owner:
            self._forget()  # a lock held by another thread at the fork would never open here
        for last in (False, False, True):
            with self._store.read() as connection:
                state = self._caught_up(connection, last=last)
                if state is not None:
                    return self._answer(connection, state, query, vector)
        raise StoreUnavailable(detail="its change log moved backwards while it was read")

    def _forget(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._views: OrderedDict[_Sight, View] = OrderedDict()
        self._sights: OrderedDict[tuple[int, Scope, bool], _Sight] = OrderedDict()

    def _caught_up(self, connection: Connection, *, last: bool) -> State | None:
        """Return the state of exactly this transaction; None where another thread is ahead."""
        top = rows.top(connection)
        state = self._state
        if state is not None and state.position == top:
            return state
        with self._lock:
            state = self._state
            if state is None or state.position < top:
                return self._advance(connection, state, top)
            if state.position == top:
                return state
            # Ahead of a transaction begun after it: this is another store than it was.
            return self._reload(connection, None, top) if last else None

    def _advance(self, connection: Connection, state: State | None, top: int) -> State:
        found = rows.embedder(connection)
        if found is not None and found != self._embedder:
            raise EmbedderMismatch(found=found, wanted=self._embedder)
        fresh = state.after(connection, top, self._dimension) if state else None
        if fresh is None:
            return self._reload(connection, state, top)
        self._state = fresh
        return fresh

    def _reload(self, connection: Connection, old: State | None, top: int) -> State:
        with self._lock:
            self._state = load(connection, top, self._dimension, self._cache, old)
            self._views.clear()
            self._sights.clear()
            return self._state

    def _answer(
        self, connection: Connection, state: State, query: Query, vector: NDArray[np.float32]
    ) -> Retrieval:
        scope = Scope(query.tokens, query.agent_tokens)
        answer = self._attempt(connection, state, scope, query, vector)
        if answer.withheld:
            # The memory disagrees with the store on rights: nothing it ranked can be trusted.
            state = self._reload(connection, state, state.position)
            again = self._attempt(connection, state, scope, query, vector)
            if again.withheld:
                raise StoreUnavailable(detail="its rights changed within one read transaction")
            return Retrieval(again.passages, again.signals, again.position, answer.withheld)
        return answer

    def _attempt(
        self,
        connection: Connection,
        state: State,
        scope: Scope,
        query: Query,
        vector: NDArray[np.float32],
    ) -> Retrieval:
        sight = self._sight(state, scope, vetted=query.vetted)
        view = self._view(state, sight)
        words = list(dict.fromkeys(terms(query.text)))
        ranking = view.rank(words, vector, query.k)
        chosen = ranking.fused[: max(query.k, 0)]
        live = rows.winners(connection, [view.chunk(row) for row in chosen])
        passages = passages_of(ranking, {row: live.get(view.chunk(row)) for row in chosen}, scope)
        return Retrieval(
            passages=passages,
            signals=signals_of(ranking, words),
            position=sum(sight.changes),
            withheld=len(chosen) - len(passages),
        )

    def _sight(self, state: State, scope: Scope, *, vetted: bool) -> _Sight:
        key = (state.position, scope, vetted)
        with self._lock:
            if (known := self._sights.get(key)) is not None:
                return known
        seen = rows.searched(state.classes, scope, vetted=vetted)
        sight = _Sight(seen, tuple(state.classes[number].changes for number in seen))
        with self._lock:
            self._sights[key] = sight
            while len(self._sights) > _SCOPES:
                self._sights.popitem(last=False)
        return sight

    def _view(self, state: State, sight: _Sight) -> View:
        # Equal classes with equal counters hold equal chunks, whatever changed outside them.
        with self._lock:
            if (known := self._views.get(sight)) is not None:
                self._views.move_to_end(sight)
                return known
        view = View.gather(state.pieces, sight.classes)
        with self._lock:
            self._views[sight] = view
            while len(self._views) > 1 and sum(v.size for v in self._views.values()) > MEMORY:
                self._views.popitem(last=False)
        return view
