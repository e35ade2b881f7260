"""Playing a run again: the turn of `runtime.turn`, with every port answered from the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import cast

from staid.domain.canonical import Json
from staid.domain.errors import ModelUnavailable
from staid.domain.errors.replay import RecordIncomplete
from staid.domain.events import Event, EventKind
from staid.domain.ids import ConversationId, RunId
from staid.domain.message import ModelRequest, ModelResponse
from staid.domain.outcome import Outcome
from staid.domain.passage import Passage, Retrieval
from staid.domain.ports import Corpus, Embedder, Index, ModelClient, Query
from staid.domain.principal import Principal, PrincipalKind
from staid.domain.prompt import Pin
from staid.domain.records import Ending, Handoff, Records
from staid.domain.text import terms
from staid.grounding.calibration import Calibration
from staid.grounding.floor import Signal
from staid.runtime.parked import ParkedTurn
from staid.runtime.parts import AgentSpec, Floor, Parts
from staid.runtime.pinning import Pinning
from staid.runtime.recorder import Recorder
from staid.runtime.replay.gate import Bounds, RecordEnds, ReplayGate, Ruled
from staid.runtime.replay.record import Recorded
from staid.runtime.turn import Turn


@dataclass(frozen=True, slots=True)
class Change:
    """What is not as recorded; nothing by default."""

    floor: float | None = None
    instructions: tuple[str, str] | None = None
    """Name and text."""
    model: Callable[[], ModelClient] | None = None
    """A live model; the recorded one answers where it is None."""
    index: Index | None = None
    """A live search over what is stored now."""
    embedder: Embedder | None = None
    """For the live search."""
    without: frozenset[str] = frozenset()
    """Ids of documents and passages that are left out of what was found."""


@dataclass(slots=True)
class Played:
    """What came of a replay."""

    events: list[Event] = field(default_factory=list[Event])
    """The facts made again, in order."""
    outcome: Outcome | None = None
    ruled: list[Ruled] = field(default_factory=list[Ruled])
    assumed: bool = False
    """Whether a recorded response was used for a request that is not the recorded one."""
    unknown: str | None = None
    """Why there is no outcome, where the record had no answer."""


@dataclass(frozen=True, slots=True)
class _Clock:
    at: datetime

    def now(self) -> datetime:
        return self.at


class _Ids:
    """Gives the recorded ids in the order they were given."""

    def __init__(self, recorded: Recorded) -> None:
        opened = (r for r in recorded.rows if r.kind is EventKind.HANDOFF_OPENED)
        self._known = {"hof": [str(row.fact["handoff"]) for row in opened]}

    def new(self, prefix: str) -> str:
        known = self._known.get(prefix)
        return known.pop(0) if known else f"{prefix}_replay"


@dataclass(slots=True)
class _Records:
    """Takes the facts and keeps the parked turn; writes nothing."""

    events: list[Event]
    parked: Mapping[str, Json] | None = None

    def append(self, run: RunId, events: Sequence[Event], *, durable: bool = False) -> None:
        del run, durable
        self.events += events

    def park(
        self, run: RunId, state: Mapping[str, Json], ending: Ending, events: Sequence[Event]
    ) -> None:
        del run, ending
        self.parked = state
        self.events += events

    def release(
        self, run: RunId, ending: Ending, events: Sequence[Event], handoff: Handoff | None
    ) -> None:
        del run, ending, handoff
        self.events += events


@dataclass(slots=True)
class _Index:
    """Finds what was found, pass by pass, without what is left out."""

    retrievals: list[Retrieval]
    change: Change
    place: int = 0

    def search(self, query: Query) -> Retrieval:
        if self.change.index is not None:
            found = self.change.index.search(query)
        else:
            found = self.retrievals[self.place]
            self.place += 1
        # To the floor an unvetted passage counts as if it had not been found.
        passages = tuple(self._kept(passage) for passage in found.passages)
        return replace(found, passages=passages)

    def _kept(self, passage: Passage) -> Passage:
        left_out = names_of(passage) & self.change.without
        return replace(passage, vetted=False) if left_out else passage


def names_of(passage: Passage) -> set[str]:
    """Return every name by which a passage may be left out."""
    return {passage.chunk, passage.document, f"{passage.source}/{passage.document}"}


@dataclass(slots=True)
class _Registry:
    """Knows the versions that the run was made of; a text that is none of them has no number."""

    recorded: Recorded

    def pin(self, texts: Mapping[str, str]) -> list[Pin]:
        hashes = {name: sha256(text.encode()).hexdigest() for name, text in texts.items()}
        return [Pin(name, self._version(name, told), told) for name, told in hashes.items()]

    def _version(self, name: str, hashed: str) -> int | None:
        return next(
            (p.version for p in self.recorded.pins if (p.name, p.sha256) == (name, hashed)), None
        )


@dataclass(slots=True)
class _Embedder:
    """Names the recorded embedder; a recorded search needs no vector."""

    id: str
    dimension: int = 0

    def embed(self, text: str) -> bytes:
        del text
        return b""


@dataclass(slots=True)
class _Model:
    """Says what was said, request by request."""

    recorded: Recorded
    place: int = 0

    @property
    def name(self) -> str:
        known = self.recorded.requests
        return str(known[min(self.place, len(known) - 1)]["model"]) if known else "recorded"

    async def generate(self, request: ModelRequest) -> ModelResponse:
        del request
        self.place += 1
        if self.place <= len(self.recorded.responses):
            return self.recorded.responses[self.place - 1]
        if self.place <= len(self.recorded.requests):
            raise ModelUnavailable(detail="it did not answer then")
        reason = "the model would be asked something that it was not asked then"
        raise RecordEnds(reason)


async def play(
    recorded: Recorded,
    change: Change,
    bounds: Bounds,
    calibration: Calibration | None,
    pool: ThreadPoolExecutor,
    templates: Mapping[str, str],
) -> Played:
    """Play a run to its end; nothing is written, asked or carried out but what `change` names.

    `templates` are those of this release, by name.

    Raises `RecordIncomplete` where not all that a turn needs was recorded.
    """
    played = Played()
    turn, records, gate = _turn(recorded, change, bounds, calibration, pool, templates, played)
    try:
        played.outcome = await turn.ask()
        for later in recorded.passes[1:]:
            if records.parked is None:
                break
            state, records.parked = records.parked, None
            gate.at_pass(later[0].seq)
            resumed = replace_turn(turn, ParkedTurn.from_json(state))
            played.outcome = await resumed.carry_on(ParkedTurn.from_json(state))
    except RecordEnds as ends:
        played.outcome, played.unknown = None, ends.reason
    except ModelUnavailable as error:
        played.outcome, played.unknown = None, str(error)
    played.events += turn.recorder.drain()
    played.ruled = gate.ruled
    return played


def replace_turn(turn: Turn, parked: ParkedTurn) -> Turn:
    """Return the turn as a resume begins it: what was said so far, nothing found yet."""
    return replace(turn, messages=list(parked.messages), calls=[], decision=None, cut=None)


def _turn(
    recorded: Recorded,
    change: Change,
    bounds: Bounds,
    calibration: Calibration | None,
    pool: ThreadPoolExecutor,
    templates: Mapping[str, str],
    played: Played,
) -> tuple[Turn, _Records, ReplayGate]:
    clock, ids = _Clock(datetime.fromisoformat(recorded.rows[0].at)), _Ids(recorded)
    records = _Records(played.events)
    live = change.model is not None
    gate = ReplayGate(recorded, bounds, played.events, clock, ids, live=live)
    parts = Parts(
        records=cast("Records", records),
        index=_Index(recorded.retrievals, change),
        corpus=cast("Corpus", None),
        embedder=_embedder(recorded, change),
        gate=gate,
        clock=clock,
        ids=ids,
        pool=pool,
        calibration=lambda: calibration,
        floor=_floor(recorded, change),
        prompts=Pinning(_Registry(recorded), templates) if recorded.numbered else None,
        worker="replay",
    )
    started, scope = recorded.started, recorded.scope
    principal = _principal(started["asker"], scope["groups"] if scope else ())
    turn = Turn(
        parts=parts,
        agent=_spec(recorded, change, bounds),
        run=recorded.run,
        conversation=ConversationId(started["conversation"]),
        question=started["question"],
        principal=principal,
        upstream=frozenset(),
        messages=list(recorded.history),
        recorder=Recorder(clock, principal.token),
        asserted=frozenset(scope["groups"]) if scope and scope["asserted"] else None,
    )
    return turn, records, gate


def _embedder(recorded: Recorded, change: Change) -> Embedder:
    if change.index is not None and change.embedder is not None:
        return change.embedder
    done = recorded.first(EventKind.RETRIEVAL_DONE)
    return _Embedder(str(done["embedder"]) if done else "none")


def _floor(recorded: Recorded, change: Change) -> Floor:
    compared = recorded.first(EventKind.FLOOR_COMPARED)
    outcome = recorded.outcome or {"floor": 0.0}
    value = compared["floor"] if compared else outcome["floor"]
    signal = cast("Signal", compared["signal"] if compared else "confidence")
    return Floor(value if change.floor is None else change.floor, signal)


def _spec(recorded: Recorded, change: Change, bounds: Bounds) -> AgentSpec:
    rendered = recorded.first(EventKind.PROMPT_RENDERED)
    name, text = change.instructions or (
        (rendered["name"], rendered["instructions"]) if rendered else ("none", "")
    )
    client = _Model(recorded)
    may_read = recorded.scope["may_read"] if recorded.scope else None
    return AgentSpec(
        name=recorded.started["agent"],
        model=change.model or (lambda: client),
        instructions=text,
        instructions_name=name,
        tools=_allowlist(recorded) if bounds.allowed is None else bounds.allowed,
        may_read=frozenset(may_read) if may_read is not None else None,
        canned=_canned(recorded),
    )


def _allowlist(recorded: Recorded) -> frozenset[str]:
    if recorded.scope is None:
        return frozenset()
    if "tools" not in recorded.scope:
        detail = "the agent's allowlist of then is not recorded"
        raise RecordIncomplete(run=recorded.run, detail=detail)
    return frozenset(recorded.scope["tools"])


def _canned(recorded: Recorded) -> tuple[tuple[str, str], ...]:
    outcome = recorded.outcome
    if outcome is None or outcome["reason"] != "canned":
        return ()
    question = recorded.started["question"]
    said = " ".join(terms(question)) or question.strip().lower()
    return ((said, outcome["text"]),)


def _principal(token: str, groups: Sequence[str]) -> Principal:
    kind, _, rest = token.partition(":")
    return Principal("local", cast("PrincipalKind", kind), rest, frozenset(groups))
