"""The gate of a replay: it rules, and it has nothing to carry a call out with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, cast

from staid.domain.call import CallRecord, CallState, Ruling, Severity, ToolCall
from staid.domain.events import Content, Event
from staid.domain.ids import CallId, Ids
from staid.domain.message import ProposedCall, ToolSpec
from staid.domain.ports import Clock
from staid.gates import facts
from staid.gates.budget import Draw, Totals
from staid.gates.ledger import Ledger
from staid.gates.policy import Prepared, Snapshot, rule
from staid.gates.provenance import origins
from staid.gates.rules import NO_POLICY, Policy
from staid.gates.tool import Tool
from staid.runtime.gate import Gate, Proposer
from staid.runtime.replay.record import GIVEN, PastCall, Recorded

LAST = 1 << 62
"""A fact number after every other."""


class RecordEnds(Exception):
    """The record has no answer to what is asked of it; `reason` says in plain words why."""

    def __init__(self, reason: str) -> None:
        """Say why."""
        super().__init__(reason)
        self.reason = reason


def without_handlers(tools: Mapping[str, Tool]) -> dict[str, Tool]:
    """Return the tools' bounds alone: whoever would carry one out finds nothing to call."""
    return {
        name: replace(tool, handler=_absent, takes_call=False, preview=None, reconcile=None)
        for name, tool in tools.items()
    }


def _absent(_params: object) -> NoReturn:
    message = "a replay carries nothing out"
    raise RuntimeError(message)


class _NoLedger:
    """Where the calls of a replay are kept: nowhere."""

    def __getattr__(self, name: str) -> NoReturn:
        message = f"a replay keeps no calls ({name})"
        raise RuntimeError(message)


@dataclass(slots=True)
class Bounds:
    """What the calls of a replay are ruled by."""

    tools: Mapping[str, Tool]
    """Without handlers."""
    totals: Callable[[Sequence[Draw], PastCall | None], Totals]
    """Running totals that the record of a call does not hold."""
    allowed: frozenset[str] | None = None
    """The allowlist; None: as recorded."""
    denied: frozenset[str] = frozenset()
    """Names of tools that are stopped, beside those that were."""
    policy: Policy = NO_POLICY
    """Whose rules hold."""


@dataclass(slots=True)
class Ruled:
    """One call as it was ruled, and as it is ruled now."""

    tool: str
    call: str
    arguments: Mapping[str, object]
    then: Ruling | None
    """None for a call that was not made then."""
    now: Ruling

    @property
    def flipped(self) -> bool:
        """Whether the ruling is another one."""
        return self.then is None or self.then.severity is not self.now.severity


@dataclass(slots=True)
class _State:
    """How far a replay is."""

    events: list[Event]
    used: set[str] = field(default_factory=set[str])
    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    until: int = LAST
    """Calls are told as they stood before this fact."""
    given: dict[str, int] = field(default_factory=dict[str, int])
    """Call -> the fact before which everything is told."""
    strange: int = 0


class ReplayGate(Gate):
    """Rules on every call again and takes what became of it from the record."""

    def __init__(
        self,
        recorded: Recorded,
        bounds: Bounds,
        events: list[Event],
        clock: Clock,
        ids: Ids,
        *,
        live: bool,
    ) -> None:
        """Add facts to `events`. With a `live` model only the very same call has a result."""
        nowhere = cast("Ledger", _NoLedger())
        super().__init__(bounds.tools, nowhere, clock, ids, "replay", policy=bounds.policy)
        self._recorded = recorded
        self._bounds = bounds
        self._state = _State(events)
        self._live = live
        self._now = clock
        self.ruled: list[Ruled] = []

    def at_pass(self, first: int) -> None:
        """Tell calls as they stood when the pass that begins with this fact began."""
        self._state.until = first

    async def look(
        self, proposal: ProposedCall, proposer: Proposer
    ) -> tuple[CallRecord, Sequence[Event]] | None:
        """Carry nothing out: every call of a replay is acted on."""
        del proposal, proposer
        return None

    async def act(
        self,
        proposal: ProposedCall,
        proposer: Proposer,
        *,
        key: str | None = None,
        earlier: Sequence[Event] = (),
    ) -> CallRecord:
        """Rule on a call; its result is the recorded one, or there is none."""
        del key
        state = self._state
        state.events += earlier
        prepared = self._prepare(proposal, proposer)
        past = self._past(proposal, prepared)
        call = self._call(proposal, prepared, proposer, past)
        traced = proposer.trace(prepared)
        snapshot = self._snapshot(prepared, proposer, past, origins(traced))
        ruling = self._ruling(prepared, snapshot, past)
        now, label = self._now.now(), proposer.label
        # Told with what is recorded: that an allowlist changed shows in the ruling, if it matters.
        seen = past.snapshot.as_json() if past and past.snapshot else None
        state.events.append(facts.proposed(call, now, label, traced))
        state.events.append(facts.ruled(call, ruling, now, label, seen))
        told = dict(prepared.arguments)
        self.ruled.append(Ruled(call.tool, call.id, told, past.ruling if past else None, ruling))
        record = self._became(call, ruling, past)
        state.calls.append(record)
        return record

    async def execute(self, call: str, *, earlier: Sequence[Event] = ()) -> CallRecord:
        """Return what became of a call that was decided; carries nothing out."""
        self._state.events += earlier
        known = next(record for record in self._state.calls if record.call.id == call)
        past = self._past_of(call)
        if past is None:
            return known
        self._given(past, LAST)
        ended = past.record(known.call, LAST)
        self._state.calls = [ended if r.call.id == call else r for r in self._state.calls]
        return ended

    def records(self, run: str) -> Sequence[CallRecord]:
        """Return the calls so far, as they stood when this pass began."""
        del run
        before = self._state.calls
        self._state.calls = [
            past.record(r.call, self._state.until) if (past := self._past_of(r.call.id)) else r
            for r in before
        ]
        changed = [
            replace(old, state=CallState.REVOKED, replaced_by=now.call.id)
            for old, now in zip(before, self._state.calls, strict=True)
            if old.call.id != now.call.id
        ]
        return [*changed, *self._state.calls]

    def specs(self, allowed: frozenset[str]) -> tuple[ToolSpec, ...]:
        """Return the allowed tools that are registered and not stopped."""
        names = sorted(allowed - self._bounds.denied)
        return tuple(self._bounds.tools[n].spec for n in names if n in self._bounds.tools)

    def _past_of(self, call: str) -> PastCall | None:
        return next((p for p in self._recorded.calls if p.became(call)), None)

    # --- one call ---------------------------------------------------------------------------

    def _past(self, proposal: ProposedCall, prepared: Prepared) -> PastCall | None:
        """Return the recorded call that this one is, or None."""
        free = [c for c in self._recorded.calls if c.id not in self._state.used]
        if self._live:
            call = ToolCall(CallId(""), self._recorded.run, "", proposal.tool, {}, "")
            digest = replace(call, arguments=prepared.arguments).digest
            found = next((c for c in free if c.digest == digest), None)
        else:
            found = next((c for c in free[:1] if c.tool == proposal.tool), None)
        if found is not None:
            self._state.used.add(found.id)
        return found

    def _call(
        self,
        proposal: ProposedCall,
        prepared: Prepared,
        proposer: Proposer,
        past: PastCall | None,
    ) -> ToolCall:
        if past is None:
            self._state.strange += 1
        given = past.id if past else CallId(f"cal_replay_{self._state.strange}")
        return ToolCall(
            id=given,
            run=proposer.run,
            agent=proposer.agent,
            tool=proposal.tool,
            arguments=prepared.arguments,
            key=given,
            provider_id=proposal.id,
            subject=proposer.principal.token,
        )

    def _snapshot(
        self,
        prepared: Prepared,
        proposer: Proposer,
        past: PastCall | None,
        traced: Mapping[str, str],
    ) -> Snapshot:
        """Return what was known when the call was made; totals it did not need are summed up."""
        fresh = Snapshot(proposer.allowed, groups=proposer.principal.groups, now=self._now.now())
        kept = past.snapshot if past and past.snapshot else fresh
        missing = tuple(draw for draw in prepared.draws if draw.slot not in kept.totals)
        totals = {**self._bounds.totals(missing, past), **kept.totals}
        allowed = kept.allowed if self._bounds.allowed is None else self._bounds.allowed
        return replace(
            kept,
            allowed=allowed,
            stopped=kept.stopped | self._bounds.denied,
            totals=totals,
            policy=self._policy.version,
            origins=kept.origins or traced,
            said=proposer.said if kept.said is None else kept.said,
        )

    def _ruling(self, prepared: Prepared, snapshot: Snapshot, past: PastCall | None) -> Ruling:
        ruling = rule(prepared, snapshot)
        if past is not None and past.ruling.rule == "preview" and ruling.severity is Severity.ASK:
            return past.ruling  # a preview that failed then is not asked for again
        return ruling

    def _became(self, call: ToolCall, ruling: Ruling, past: PastCall | None) -> CallRecord:
        if ruling.severity is Severity.DENY:
            return CallRecord(call, CallState.DENIED, ruling, self._now.now())
        if past is not None and past.ruling.severity is ruling.severity:
            after = self._next_after(past)
            self._given(past, after)
            return replace(past.record(call, after), ruling=ruling)
        if ruling.severity is Severity.ASK:
            return CallRecord(call, CallState.PENDING, ruling, self._now.now())
        done = past.record(call, LAST) if past is not None else None
        if done is None or done.state is not CallState.DONE:
            reason = f"{call.tool} would be carried out now; what it would return is not recorded"
            raise RecordEnds(reason)
        if past is not None:
            self._given(past, LAST)
        return replace(done, ruling=ruling)

    def _given(self, past: PastCall, until: int) -> None:
        """Take over the facts that tell what became of a call outside, each of them once."""
        first = self._state.given.get(past.id, 0)
        self._state.given[past.id] = until
        self._state.events += [
            Event(
                row.kind,
                self._now.now(),
                row.actor,
                row.fact,
                Content(row.body, row.label) if row.body is not None else None,
            )
            for row in past.rows
            if (row.kind in GIVEN or row.fact["call"] != past.id) and first <= row.seq < until
        ]

    def _next_after(self, past: PastCall) -> int:
        """Return the number of the first fact after the call was acted on, a human's left out."""
        own = {row.seq for row in past.rows}
        decided = {r.seq for r in past.rows if r.kind.value == "approval.decided"}
        seq = past.rows[0].seq
        while seq in own - decided:
            seq += 1
        return seq
