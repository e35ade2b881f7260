"""Runs again from their record: identical, or what would have been with one thing changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from staid.adapters.models.prompt import packaged
from staid.domain.call import Ruling, Severity
from staid.domain.canonical import Json
from staid.domain.errors import AgentNotFound, ModelUnknown, UsageInvalid
from staid.domain.errors.replay import RecordErased, RecordIncomplete, ReplayImpossible
from staid.domain.events import Event, EventKind, JournalRow
from staid.domain.ports import ModelClient
from staid.domain.records import RunRecord
from staid.gates.budget import Draw, Totals
from staid.gates.policy import prepare
from staid.gates.reruling import DREW, PastUse, Reruled, Tally, rerule
from staid.gates.rules import Policy
from staid.gates.tool import Tool
from staid.project.policy_trial import candidate
from staid.runtime.imported import IMPORTED, events_of, turn_of
from staid.runtime.replay.compare import Divergence, first_divergence
from staid.runtime.replay.gate import Bounds, Ruled, without_handlers
from staid.runtime.replay.play import Change, Played, names_of, play
from staid.runtime.replay.record import GIVEN, PastCall, Recorded, read
from staid.runtime.replay.requests import unaccounted
from staid.store.past_calls import past_uses
from staid.tracing.story import tell

if TYPE_CHECKING:
    from staid.grounding.calibration import Calibration
    from staid.project.project import Project

_LATER = GIVEN - {
    EventKind.RUN_STARTED,
    EventKind.CALL_EXECUTED,
    EventKind.CALL_SETTLED,
}
"""What may be added to an imported run afterwards."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be otherwise; nothing at all asks for the run as it was."""

    prompt: tuple[str, str] | None = None
    """Name and text of other instructions."""
    model: str | None = None
    floor: float | None = None
    policy: bool = False
    """Rule by the project's bounds and allowlists as they are now."""
    rules: Path | None = None
    """Rule by the rules of this file, in place of the project's own; goes with `policy`."""
    index: bool = False
    """Search what is stored now."""
    without: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    @property
    def nothing(self) -> bool:
        """Whether the run is to be played as it was."""
        return self == Wanted()

    @property
    def rulings_alone(self) -> bool:
        """Whether only rulings are asked for."""
        return self == Wanted(policy=self.policy, rules=self.rules, deny=self.deny)


@dataclass(frozen=True, slots=True)
class Told:
    """A run in a few values: what it ended as, and what decided."""

    outcome: str | None
    reason: str | None
    text: str
    confidence: float | None
    floor: float | None
    evidence: tuple[str, ...]
    decided: str | None
    """The sentence of the story that decided."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One run, played again."""

    run: str
    facts: int
    """Facts that were made again and held against the record."""
    divergence: Divergence | None
    then: Told
    now: Told | None
    """None for an imported run: what its agent would have said nobody can know."""
    rulings: tuple[Ruled, ...] = ()
    assumed: bool = False
    """Whether a recorded draft was used for a request that would be another one now."""
    unknown: str | None = None
    """Why there is no outcome, where the record had no answer."""

    @property
    def identical(self) -> bool:
        """Whether every fact came out as it is recorded."""
        return self.divergence is None

    @property
    def flips(self) -> tuple[Ruled, ...]:
        """The calls that are ruled otherwise."""
        return tuple(ruled for ruled in self.rulings if ruled.flipped)

    @property
    def changed(self) -> bool:
        """Whether outcome, text or a ruling is another one, or cannot be known."""
        if self.now is None:
            return bool(self.flips)
        return bool(self.flips) or _essence(self.then) != _essence(self.now)


@dataclass(slots=True)
class Summary:
    """Many runs, played again."""

    runs: int = 0
    same: int = 0
    changed: list[Replayed] = field(default_factory=list[Replayed])
    cannot: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Run and reason: erased, recorded by an earlier release, or cut off."""


class Replays:
    """Plays runs of one project; reads what it needs of the store once."""

    def __init__(self, project: Project, wanted: Wanted) -> None:
        """Check what is wanted; raise `ReplayImpossible`, `ModelUnknown`, `ModelKeyMissing`."""
        self._project = project
        self._wanted = wanted
        if wanted.prompt is not None and wanted.model is None:
            raise ReplayImpossible(
                run="a record",
                detail="a recorded response answers the recorded prompt, not another one",
                hint="Name the model that is to answer, for example --model quote.",
            )
        self._met: set[str] = set()
        """What is to be left out or stopped and occurs in a run that was played."""

    async def one(self, run: str) -> Replayed:
        """Play one run.

        Raises `RunNotFound`, `RecordErased`, `RecordIncomplete`, and `ReplayImpossible` where the
        run has nothing of what is to be left out or stopped: a name that is written wrongly must
        not read as "it would have changed nothing".
        """
        replayed = await self._play(run)
        self._all_met(f"the run {run}")
        return replayed

    async def _play(self, run: str) -> Replayed:
        records = self._project.wiring.records
        record = records.run(run)
        rows = records.rows(run)
        if record.state == IMPORTED:
            return self._imported(record, rows)
        recorded = read(run, rows)
        self._meet(recorded)
        played = await play(
            recorded,
            self._change(recorded),
            self._bounds(record.agent),
            self._calibration(),
            self._project.wiring.pool,
            packaged(),
        )
        return self._compared(recorded, played)

    async def every(
        self, since: datetime | None, advance: Callable[[int], None] = lambda _done: None
    ) -> Summary:
        """Play every run that began at or after `since`, oldest first."""
        summary = Summary()
        found = reversed(self._project.wiring.records.runs(limit=1 << 40))
        for record in found:
            if record.state in {"running", "external"} or (since and record.started_at < since):
                continue
            summary.runs += 1
            try:
                replayed = await self._play(record.run)
            except (RecordErased, RecordIncomplete, ReplayImpossible) as error:
                summary.cannot.append((record.run, error.message))
            else:
                same = replayed.identical if self._wanted.nothing else not replayed.changed
                if same:
                    summary.same += 1
                else:
                    summary.changed.append(replayed)
            advance(summary.runs)
        if summary.runs > len(summary.cannot):
            self._all_met("these runs")
        return summary

    def _meet(self, recorded: Recorded) -> None:
        for retrieval in recorded.retrievals if self._wanted.without else ():
            for passage in retrieval.passages:
                self._met |= names_of(passage)

    def _all_met(self, runs: str) -> None:
        wanted = self._wanted
        unmet: frozenset[str] = frozenset() if wanted.index else wanted.without - self._met
        if unmet:
            found = f"no passage or document {', '.join(sorted(unmet))} was found in it"
            hint = "`staid runs show RUN` and `staid why RUN` name what was found."
            raise ReplayImpossible(run=runs, detail=found, hint=hint)
        strange = wanted.deny - set(self._project.tools)
        if strange and not strange <= {use.record.call.tool for use in self._uses}:
            detail = f"there is no tool {', '.join(sorted(strange))}, now or in the record"
            raise ReplayImpossible(run=runs, detail=detail, hint="staid gates check")

    # --- an imported run --------------------------------------------------------------------

    def _imported(self, record: RunRecord, rows: Sequence[JournalRow]) -> Replayed:
        if not self._wanted.rulings_alone:
            detail = "another system carried it out, so that only its rulings can be asked again"
            raise ReplayImpossible(
                run=f"the run {record.run}", detail=detail, hint="--policy now, --deny TOOL"
            )
        for row in rows:
            if row.content is not None and row.body is None:
                raise RecordErased(run=record.run, seq=row.seq, kind=row.kind.value)
        own = [r for r in rows if r.kind not in _LATER or r.fact.get(IMPORTED)]
        divergence = first_divergence(own, events_of(turn_of(record.run, rows)), whole=True)
        rulings = () if self._wanted.nothing else self._rulings.get(record.run, ())
        return Replayed(record.run, len(own), divergence, told(record.run, rows), None, rulings)

    @cached_property
    def _rulings(self) -> Mapping[str, tuple[Ruled, ...]]:
        found: dict[str, list[Ruled]] = {}
        for one in self._reruled:
            call = one.record.call
            ruled = Ruled(call.tool, call.id, dict(call.arguments), one.then, one.now)
            found.setdefault(call.run, []).append(ruled)
        return {run: tuple(rulings) for run, rulings in found.items()}

    @cached_property
    def _reruled(self) -> list[Reruled]:
        if self._wanted.policy:
            return list(
                rerule(
                    self._uses,
                    self._tools,
                    self._allowed,
                    denied=self._wanted.deny,
                    policy=self._rules,
                )
            )
        stopped = Ruling(Severity.DENY, "kill_switch", "It is stopped in this replay.")
        return [
            Reruled(
                u.record, stopped if u.record.call.tool in self._wanted.deny else u.record.ruling
            )
            for u in self._uses
        ]

    @cached_property
    def _uses(self) -> list[PastUse]:
        return past_uses(self._project.wiring.run_store)

    # --- a run of ours ----------------------------------------------------------------------

    def _change(self, recorded: Recorded) -> Change:
        wanted, wiring = self._wanted, self._project.wiring
        return Change(
            floor=wanted.floor,
            instructions=wanted.prompt,
            model=self._model(recorded) if wanted.model else None,
            index=wiring.index if wanted.index else None,
            embedder=wiring.embedder if wanted.index else None,
            without=wanted.without,
        )

    def _model(self, recorded: Recorded) -> Callable[[], ModelClient]:
        from staid.adapters.models.registry import model_source

        settings = self._project.agent_settings(recorded.started["agent"])
        name = self._wanted.model
        if name is None:
            raise ModelUnknown(model='""')
        return model_source(
            name,
            base=self._project.settings.directory_path,
            timeout=settings.timeout,
            max_cost=settings.max_cost,
        )

    def _bounds(self, agent: str) -> Bounds:
        allowed = self._allowed(agent) if self._wanted.policy else None
        return Bounds(self._tools, self._totals, allowed, self._wanted.deny, self._rules)

    @cached_property
    def _rules(self) -> Policy:
        return candidate(self._project, self._wanted.rules)

    @cached_property
    def _tools(self) -> dict[str, Tool]:
        return without_handlers(self._project.tools)

    def _allowed(self, agent: str) -> frozenset[str] | None:
        """Return an agent's allowlist of now; None for an agent the project does not know."""
        if not self._wanted.policy or agent not in self._project.agent_names:
            return None
        return self._project.resolve_tools(agent)

    def _totals(self, draws: Sequence[Draw], past: PastCall | None) -> Totals:
        if not draws:
            return {}
        now = self._project.wiring.clock.now()
        at = datetime.fromisoformat(past.rows[0].at) if past else now
        return self._tally.totals(draws, at, past.id if past else "")

    @cached_property
    def _tally(self) -> Tally:
        tally = Tally()
        for use in self._uses:
            call, tool = use.record.call, self._tools.get(use.record.call.tool)
            if use.record.state in DREW:
                prepared = prepare(
                    call.tool, tool, call.arguments, call.subject, call.agent, self._rules
                )
                tally.add(prepared.draws, use.record.proposed_at, call.id)
        return tally

    def _calibration(self) -> Calibration | None:
        return self._project.wiring.calibration()

    def _compared(self, recorded: Recorded, played: Played) -> Replayed:
        divergence = first_divergence(recorded.rows, played.events) or self._unaccounted(recorded)
        again = [recorded.rows[0], *rows_of(recorded.run, played.events)]
        now = told(recorded.run, again)
        if played.outcome is None and recorded.outcome is not None:
            now = replace(now, outcome="unknown", text=played.unknown or "")
        return Replayed(
            run=recorded.run,
            facts=sum(event.kind not in GIVEN for event in played.events),
            divergence=divergence,
            then=told(recorded.run, recorded.rows),
            now=now,
            rulings=tuple(played.ruled),
            assumed=self._assumed(recorded, played),
            unknown=played.unknown,
        )

    def _unaccounted(self, recorded: Recorded) -> Divergence | None:
        """Hold what was sent against what registry and record say was to be sent."""
        if not any(response.sent for response in recorded.responses):
            return None
        from staid.adapters.models.wire import requested_digest

        def text(name: str, version: int) -> str:
            return self._project.wiring.prompts.find(f"{name}@{version}").text

        return unaccounted(recorded, text, requested_digest)

    def _assumed(self, recorded: Recorded, played: Played) -> bool:
        """Tell whether a recorded draft answers a request that would be another one now."""
        if self._wanted.model is not None or self._wanted.nothing or played.unknown is not None:
            return False
        sent = {EventKind.PROMPT_RENDERED, EventKind.MODEL_REQUESTED}
        then = [row for row in recorded.rows if row.kind in sent]
        now = [event for event in played.events if event.kind in sent]
        return first_divergence(then[: len(now)], now, whole=True) is not None if now else False


def rows_of(run: str, events: Sequence[Event]) -> list[JournalRow]:
    """Return facts that are in no journal as rows a story can be told from."""
    return [
        JournalRow(
            run=run,
            seq=seq,
            kind=event.kind,
            at=event.at.isoformat(),
            actor=event.actor,
            fact=event.fact,
            content=None,
            prev="",
            hash="",
            body=event.content.body if event.content else None,
        )
        for seq, event in enumerate(events, 2)
    ]


def told(run: str, rows: Sequence[JournalRow]) -> Told:
    """Return how a run ended, and what decided, from its facts."""
    story = tell(run, rows)
    decided = [row for row in rows if row.kind is EventKind.OUTCOME_DECIDED]
    fact = cast("Mapping[str, Any]", decided[-1].fact if decided else {})
    body = cast("Mapping[str, Any]", (decided[-1].body if decided else None) or {})
    deciding = story.deciding
    return Told(
        outcome=fact.get("outcome"),
        reason=fact.get("reason"),
        text=body.get("text", ""),
        confidence=fact.get("confidence"),
        floor=fact.get("floor"),
        evidence=tuple(dict.fromkeys(e["document"] for e in fact.get("evidence", []))),
        decided=deciding.text if deciding else None,
    )


def _essence(run: Told) -> tuple[Json, ...]:
    return run.outcome, run.reason, run.text


def agent_of(project: Project, run: str) -> str:
    """Return whose run it is; raise `AgentNotFound` where the project knows no such agent."""
    agent = project.wiring.records.run(run).agent
    if agent not in project.agent_names:
        raise AgentNotFound(agent=agent)
    return agent


def moment(text: str) -> datetime:
    """Return a time from `2026-05-01`, RFC 3339, or `7d` before now; raise `UsageInvalid`."""
    from datetime import UTC

    from staid.gates.budget import duration

    try:
        return datetime.now(UTC) - duration(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        detail = f"{text!r} is not a time"
        raise UsageInvalid(detail=detail, hint="Write 2026-05-01 or 7d.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
