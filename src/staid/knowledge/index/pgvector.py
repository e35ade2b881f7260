"""Permission-aware search inside PostgreSQL with pgvector; this process holds no corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from staid.access.scope import Scope
from staid.domain.errors import EmbedderMismatch, StoreUnavailable
from staid.domain.passage import Retrieval, Signals
from staid.domain.ports import Query
from staid.domain.text import terms
from staid.knowledge.index import rows
from staid.knowledge.index.fusion import fuse
from staid.knowledge.index.lexical import DECIMALS, K1, B, idf
from staid.knowledge.index.passages import passages_of
from staid.knowledge.index.rows import Database
from staid.knowledge.index.vector import unpack
from staid.knowledge.index.view import DEPTH, Ranking

_FILL = 1_000
_BEST = 10

_PREPARE = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    "ALTER TABLE embedding ADD COLUMN IF NOT EXISTS v vector",
    "CREATE INDEX IF NOT EXISTS ix_embedding_unfilled ON embedding (text_hash) WHERE v IS NULL",
    "CREATE INDEX IF NOT EXISTS ix_chunk_terms ON chunk USING gin (terms)",
)
_PREPARED = text("""
    SELECT count(*) FROM pg_attribute
    WHERE attrelid = to_regclass('embedding') AND attname = 'v' AND NOT attisdropped
""")
_UNFILLED = text("SELECT text_hash, vector FROM embedding WHERE v IS NULL LIMIT :some")
_FILLED = text("""
    UPDATE embedding SET v = CAST(given.v AS vector)
    FROM unnest(CAST(:hashes AS text[]), CAST(:vectors AS text[])) AS given(hash, v)
    WHERE embedding.text_hash = given.hash
""")
# MATERIALIZED: the classes are resolved before any distance is, whatever the planner thinks.
# Mean and deviation are taken in `numeric`: sums of floats depend on the order of the rows, and so
# on where in the table the invisible ones lie.
_NEAR = text("""
    WITH visible AS MATERIALIZED (
        SELECT c.id, c.length, e.v
        FROM document d JOIN chunk c ON c.document = d.pk
        JOIN embedding e ON e.text_hash = c.text_hash
        WHERE d."class" = ANY(:classes)
    ), measured AS MATERIALIZED (
        SELECT id, length,
            round(CAST(-(v <#> CAST(:vector AS vector)) AS numeric), :decimals) AS similarity
        FROM visible
    ), statistics AS (
        SELECT count(*) AS size, coalesce(sum(length), 0) AS total,
            coalesce(avg(similarity), 0) AS mean, coalesce(stddev_pop(similarity), 0) AS deviation
        FROM measured
    ), near AS (
        SELECT id, similarity FROM measured ORDER BY similarity DESC, id COLLATE "C" LIMIT :depth
    )
    SELECT size, total, mean, deviation, id, CAST(similarity AS float8)
    FROM statistics LEFT JOIN near ON true
    ORDER BY near.similarity DESC, id COLLATE "C"
""")
_HITS = """
    WITH hits AS MATERIALIZED (
        SELECT c.id, c.length, c.terms
        FROM chunk c JOIN document d ON d.pk = c.document
        WHERE c.terms ?| CAST(:terms AS text[]) AND d."class" = ANY(:classes)
    )
"""
_FREQUENCIES = text(f"""{_HITS}
    SELECT word.term, count(*) FROM hits JOIN unnest(CAST(:terms AS text[])) AS word(term)
    ON hits.terms ? word.term GROUP BY word.term
""")  # noqa: S608 - both parts are constants
_LITERAL = text(f"""{_HITS}
    SELECT id, CAST(round(CAST(sum(
        word.weight * CAST(terms ->> word.term AS float8) / (
            CAST(terms ->> word.term AS float8)
            + CAST(:k1 AS float8) * (1 - CAST(:b AS float8)
            + CAST(:b AS float8) * length / CAST(:average AS float8))
        ) ORDER BY word.place
    ) AS numeric), :decimals) AS float8) AS score
    FROM hits JOIN unnest(CAST(:terms AS text[]), CAST(:weights AS float8[]))
        WITH ORDINALITY AS word(term, weight, place) ON hits.terms ? word.term
    GROUP BY id ORDER BY score DESC, id COLLATE "C" LIMIT :depth
""")  # noqa: S608 - both parts are constants
_COSINES = text("""
    SELECT c.id, CAST(round(CAST(-(e.v <#> CAST(:vector AS vector)) AS numeric), :decimals)
        AS float8)
    FROM chunk c JOIN embedding e ON e.text_hash = c.text_hash
    WHERE c.id = ANY(CAST(:ids AS text[]))
""")


def prepare(connection: Connection) -> None:
    """Add what only pgvector needs: extension, vector column, indexes. Does nothing twice."""
    _take_turns(connection)
    if not connection.execute(_PREPARED).scalar_one():
        for statement in _PREPARE:
            connection.execute(text(statement))


def fill(connection: Connection, dimension: int) -> int:
    """Turn up to 1,000 stored vectors into pgvector's form; return how many were left to do."""
    _take_turns(connection)
    left = connection.execute(_UNFILLED, {"some": _FILL}).all()
    if left:
        given = {
            "hashes": [row[0] for row in left],
            "vectors": [_literal(unpack(bytes(row[1]), dimension)) for row in left],
        }
        connection.execute(_FILLED, given)
    return len(left)


def _take_turns(connection: Connection) -> None:
    # The lock every writer of the corpus takes: no deadlock with them, no race between two of us.
    connection.execute(text("LOCK TABLE change IN EXCLUSIVE MODE"))


@dataclass(frozen=True, slots=True)
class _Measured:
    """Both legs over the view, before they are fused."""

    size: int
    mean: float
    deviation: float
    near: Mapping[str, float]
    literal: Mapping[str, float]
    idf: tuple[float, ...]


class PgVectorIndex:
    """Keeps `domain.ports.Index` on PostgreSQL: equal answers to `EmbeddedIndex` on equal data.

    Nothing is kept between queries but the fact that the column exists, so a revoke holds as soon
    as it is committed. The scan is exact over the view. Cosines may differ from the embedded
    index in the sixth decimal: the sums are formed in another order.
    """

    def __init__(self, store: Database, embedder_id: str, dimension: int) -> None:
        """Search what this embedder has embedded; the store must be PostgreSQL with pgvector."""
        self._store = store
        self._embedder = embedder_id
        self._dimension = dimension
        self._prepared = False

    def prepare(self) -> None:
        """Make every stored vector searchable; a search does it itself where it is missing."""
        with self._store.write() as connection:
            prepare(connection)
        more = _FILL
        while more == _FILL:
            with self._store.write() as connection:
                more = fill(connection, self._dimension)
        self._prepared = True

    def search(self, query: Query) -> Retrieval:
        """Return the best passages of the view, ranked; reads every committed change first."""
        vector = unpack(query.vector, self._dimension)
        if not self._prepared:
            self.prepare()
        for _ in range(3):
            with self._store.read() as connection:
                if connection.execute(_UNFILLED, {"some": 1}).first() is None:
                    return self._answer(connection, query, vector)
            self.prepare()
        raise StoreUnavailable(detail="vectors arrive faster than they can be made searchable")

    def _answer(
        self, connection: Connection, query: Query, vector: NDArray[np.float32]
    ) -> Retrieval:
        found = rows.embedder(connection)
        if found is not None and found != self._embedder:
            raise EmbedderMismatch(found=found, wanted=self._embedder)
        scope = Scope(query.tokens, query.agent_tokens)
        known = rows.classes(connection)
        seen = rows.searched(known, scope, vetted=query.vetted)
        words = list(dict.fromkeys(terms(query.text)))
        depth = max(DEPTH, query.k)
        measured = _measure(connection, seen, words, vector, depth)
        ids, ranking = _ranking(connection, measured, vector)
        chosen = ranking.fused[: max(query.k, 0)]
        live = rows.winners(connection, [ids[row] for row in chosen])
        passages = passages_of(ranking, {row: live.get(ids[row]) for row in chosen}, scope)
        if len(passages) != len(chosen):
            raise StoreUnavailable(detail="its rights changed within one read transaction")
        return Retrieval(
            passages=passages,
            signals=_signals(measured, words),
            position=sum(known[number].changes for number in seen),
        )


def _measure(
    connection: Connection,
    seen: Sequence[int],
    words: Sequence[str],
    vector: NDArray[np.float32],
    depth: int,
) -> _Measured:
    given: dict[str, object] = {"classes": list(seen), "terms": list(words), "depth": depth}
    given |= {"vector": _literal(vector), "decimals": DECIMALS}
    near = connection.execute(_NEAR, given).all()
    size, total, mean, deviation = near[0][:4]
    weights: tuple[float, ...] = ()
    literal: dict[str, float] = {}
    if words:
        frequency = {row[0]: row[1] for row in connection.execute(_FREQUENCIES, given)}
        weights = tuple(idf(size, frequency.get(word, 0)) for word in words)
    if words and size:
        given |= {"weights": list(weights), "k1": K1, "b": B}
        given["average"] = max(float(total) / size, 1.0)
        literal = {row[0]: row[1] for row in connection.execute(_LITERAL, given) if row[1] > 0}
    return _Measured(
        size=size,
        mean=round(float(mean), DECIMALS),
        deviation=round(float(deviation), DECIMALS),
        near={row[4]: row[5] + 0.0 for row in near if row[4] is not None},
        literal=literal,
        idf=weights,
    )


def _ranking(
    connection: Connection, measured: _Measured, vector: NDArray[np.float32]
) -> tuple[list[str], Ranking]:
    ids = sorted({*measured.near, *measured.literal})
    row_of = {number: row for row, number in enumerate(ids)}
    cosines = dict(measured.near)
    lacking = [number for number in measured.literal if number not in cosines]
    given = {"ids": lacking, "vector": _literal(vector), "decimals": DECIMALS}
    if lacking:
        cosines |= {row[0]: row[1] + 0.0 for row in connection.execute(_COSINES, given)}
    near = [row_of[number] for number in measured.near]
    literal = [row_of[number] for number in measured.literal]
    return ids, Ranking(
        fused=fuse(near, literal),
        vector_ranks={row: rank for rank, row in enumerate(near, 1)},
        lexical_ranks={row: rank for rank, row in enumerate(literal, 1)},
        similarities=np.array([cosines[number] for number in ids], np.float64),
        bm25=np.array([measured.literal.get(number, 0.0) for number in ids], np.float64),
        idf=measured.idf,
    )


def _signals(measured: _Measured, words: Sequence[str]) -> Signals:
    return Signals(
        similarities=tuple(list(measured.near.values())[:_BEST]),
        similarity_mean=measured.mean,
        similarity_std=measured.deviation,
        bm25=tuple(list(measured.literal.values())[:_BEST]),
        idf=tuple(zip(words, measured.idf, strict=True)),
        view=measured.size,
    )


def _literal(vector: NDArray[np.float32]) -> str:
    return "[" + ",".join(repr(float(value)) for value in vector) + "]"
