"""The gate's first step: rule on a call, and record both before anything happens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

from staid.domain.call import (
    CallRecord,
    CallState,
    Effect,
    Ruling,
    Severity,
    ToolCall,
)
from staid.domain.demand import Demand
from staid.domain.events import Event
from staid.domain.ids import CallId, RunId
from staid.domain.label import Label
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.demand import tightened
from staid.gates.ledger import Proposal
from staid.gates.policy import (
    Prepared,
    Snapshot,
    prepare,
    rule,
    terms,
)
from staid.gates.provenance import Traced, origins, trace, unknown
from staid.gates.sources import Texts
from staid.gates.tool import Tool
from staid.runtime.gate_execute import Executions
from staid.runtime.gate_witness import witnessed
from staid.runtime.handlers import hung
from staid.runtime.records import looked_up


@dataclass(frozen=True, slots=True)
class Proposer:
    """On whose behalf calls are proposed."""

    run: RunId
    agent: str
    allowed: frozenset[str]
    """Names of the tools this agent may use."""
    principal: Principal
    upstream: frozenset[str] = frozenset()
    """Tokens of everybody in the causal chain; asker and agent are added by the ledger."""
    label: Label | None = None
    """Who may read arguments and result; None: the asker alone."""
    seen: Texts | None = None
    """What the model has seen; None where nobody handed it over."""

    @property
    def said(self) -> str | None:
        """What the asker wrote last, or None where nobody handed it over."""
        return self.seen.said if self.seen is not None else None

    def trace(self, prepared: Prepared) -> tuple[Traced, ...]:
        """Return where the arguments of a call come from; without texts it is unknown."""
        if self.seen is None:
            return unknown(prepared.arguments)
        schema = prepared.tool.spec.schema if prepared.tool else None
        return trace(prepared.name, prepared.arguments, self.seen, schema)


class Proposing(Executions):
    """Proposes calls, and carries out at once what the rules allow."""

    async def propose(
        self,
        proposal: ProposedCall,
        *,
        run: RunId,
        agent: str,
        allowed: frozenset[str],
        principal: Principal,
        upstream: frozenset[str] = frozenset(),
        earlier: Sequence[Event] = (),
        label: Label | None = None,
    ) -> CallRecord:
        """Rule on one call and record both in one transaction; executes nothing.

        The record is `DENIED`, `PENDING`, or `APPROVED`: may run, without `approval` by the rules
        alone. `earlier` are facts of the run not flushed yet; they are written with it.
        """
        proposer = Proposer(run, agent, allowed, principal, upstream, label)
        prepared = self._prepare(proposal, proposer)
        wanted = await self._proposal(proposal, prepared, proposer, None)
        return await asyncio.to_thread(self._ledger.propose, wanted, earlier=earlier)

    async def act(
        self,
        proposal: ProposedCall,
        proposer: Proposer,
        *,
        key: str | None = None,
        earlier: Sequence[Event] = (),
    ) -> CallRecord:
        """Propose a call and, where the rules allow it, execute it: two commits, a read one.

        With a `key` that was used before the call recorded then is returned or carried on; it is
        never executed a second time. Cancelling the caller does not tear the sequence apart.
        """
        return await self._whole(self._act(proposal, proposer, key, earlier))

    async def look(
        self, proposal: ProposedCall, proposer: Proposer
    ) -> tuple[CallRecord, Sequence[Event]] | None:
        """Carry out an allowed read without a commit; None for any other call, of which nothing is.

        Record and facts are the caller's to write, with its next ones and before anything rests
        on the result.
        """
        prepared = self._prepare(proposal, proposer)
        if prepared.tool is None or prepared.tool.effect is not Effect.READ:
            return None
        traced = proposer.trace(prepared)
        snapshot = await self._known(prepared.tool, proposer, traced)
        if not _plain_read(prepared, rule(replace(prepared, draws=()), snapshot)):
            return None
        wanted = await self._proposal(proposal, prepared, proposer, None, (traced, snapshot))
        settlement = await self._answer(prepared, wanted.call)
        return self._ledger.looked(wanted, replace(settlement, label=wanted.label))

    async def _act(
        self,
        proposal: ProposedCall,
        proposer: Proposer,
        key: str | None,
        earlier: Sequence[Event],
    ) -> CallRecord:
        prepared = self._prepare(proposal, proposer)
        wanted = await self._proposal(proposal, prepared, proposer, key)
        if key is None and _plain_read(prepared, wanted.rule(wanted.snapshot)):
            return await self._read(prepared, wanted, earlier)
        lease = self._lease()
        record = await asyncio.to_thread(self._ledger.propose, wanted, lease=lease, earlier=earlier)
        if record.state is CallState.EXECUTING and record.executor == lease.executor:
            return await self._run(prepared, record, lease, proposer.label)
        if record.state is CallState.APPROVED:
            return await self._execute(record.call.id, ())
        return record

    def _prepare(self, proposal: ProposedCall, proposer: Proposer) -> Prepared:
        tool = self._tools.get(proposal.tool)
        subject, agent = proposer.principal.token, proposer.agent
        return prepare(proposal.tool, tool, proposal.arguments, subject, agent, self._policy)

    async def _known(
        self, tool: Tool | None, proposer: Proposer, traced: tuple[Traced, ...]
    ) -> Snapshot:
        heard = tool is not None and self._policy.about(tool).hears
        return Snapshot(
            proposer.allowed,
            await self._stopped_for(tool),
            hung=hung(tool.name) if tool else 0,
            policy=self._policy.version,
            groups=proposer.principal.groups,
            now=self._clock.now(),
            origins=origins(traced),
            # Kept with the ruling only where a rule looks at it: it is the asker's own text.
            said=proposer.said if heard else None,
        )

    async def _proposal(
        self,
        proposal: ProposedCall,
        prepared: Prepared,
        proposer: Proposer,
        key: str | None,
        known: tuple[tuple[Traced, ...], Snapshot] | None = None,
    ) -> Proposal:
        tool = prepared.tool
        if known is None:
            traced = proposer.trace(prepared)
            known = traced, await self._known(tool, proposer, traced)
        traced, snapshot = known[0], await looked_up(prepared, known[1])
        bound, prepared = await witnessed(prepared, snapshot)
        call = CallId(self._ids.new("cal"))
        return Proposal(
            call=ToolCall(
                id=call,
                run=proposer.run,
                agent=proposer.agent,
                tool=proposal.tool,
                arguments=prepared.arguments,
                key=key or call,
                provider_id=proposal.id,
                subject=proposer.principal.token,
            ),
            rule=partial(rule, prepared),
            snapshot=snapshot,
            draws=prepared.draws,
            of_approver=prepared.of_approver,
            breaker=tool.breaker if tool else None,
            upstream=proposer.upstream,
            demand=self._demand(prepared, snapshot),
            bound=bound,
            label=proposer.label,
            at=snapshot.now,
            effect=tool is not None and tool.effect is not Effect.READ,
            traced=traced,
        )

    def _demand(self, prepared: Prepared, snapshot: Snapshot) -> Demand:
        """Return what the tool, and every rule of the policy that asks, want of approvers."""
        tool = prepared.tool
        own = tool.demand(prepared.arguments, self._approvers) if tool else Demand()
        return reduce(tightened, terms(prepared, snapshot), own)


def _plain_read(prepared: Prepared, ruling: Ruling) -> bool:
    """Whether nothing but the answer depends on it: an allowed read that nothing counts."""
    tool = prepared.tool
    if tool is None or tool.effect is not Effect.READ or prepared.draws or tool.breaker:
        return False
    return ruling.severity is Severity.ALLOW
