"""The gate: propose, claim, execute, settle. The only way to a handler.

At most one execution per call, whatever crashes, retries or races: the claim is durable before the
handler starts, nobody can claim a call twice, and what was interrupted is `in_doubt`, never tried
again silently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from staid.domain.call import (
    ApprovalRecord,
    CallRecord,
    CallState,
)
from staid.domain.canonical import Json, canonical
from staid.domain.ids import ApprovalId, RunId
from staid.domain.message import ToolSpec
from staid.domain.principal import Principal
from staid.gates.approval import Decision
from staid.gates.policy import (
    EVERY_TOOL,
)
from staid.runtime.gate_edit import Editing
from staid.runtime.gate_parts import LEASE
from staid.runtime.gate_propose import Proposer
from staid.runtime.gate_sweep import Sweeping
from staid.runtime.gate_undo import Undoing

__all__ = ["LEASE", "Gate", "Proposer"]


class Gate(Editing, Sweeping, Undoing):
    """Rules on every call, and runs each allowed or approved one at most once."""

    async def decide(
        self,
        approval: str,
        approver: Principal,
        decision: Decision,
        *,
        reason: str = "",
        seen: str | None = None,
        via: str | None = None,
    ) -> ApprovalRecord:
        """Record what a person says; executes nothing. `seen` is the digest that was looked at."""
        return await asyncio.to_thread(
            self._ledger.decide,
            ApprovalId(approval),
            approver,
            decision,
            reason=reason,
            seen=seen,
            via=via,
        )

    def records(self, run: str) -> Sequence[CallRecord]:
        """Return the calls of a run in order of proposal."""
        return self._ledger.calls(RunId(run))

    def find(self, key: str) -> CallRecord | None:
        """Return the call with this key."""
        return self._ledger.find(key)

    def open_like(self, subject: str, agent: str, digest: str) -> CallRecord | None:
        """Return the oldest such call that waits, may run, runs or is in doubt."""
        return self._ledger.open_like(subject, agent, digest)

    def specs(self, allowed: frozenset[str]) -> tuple[ToolSpec, ...]:
        """Return the allowed tools as a model sees them, stopped ones left out."""
        stopped = self._stopped()
        if EVERY_TOOL in stopped:
            return ()
        return tuple(self._tools[n].spec for n in sorted(allowed - stopped) if n in self._tools)

    def trusts(self, tool: str) -> bool | frozenset[str]:
        """Return whether the results of a tool are records, or which of their fields are."""
        known = self._tools.get(tool)
        return known.trusted if known is not None else False

    def evidence_of(self, record: CallRecord) -> str | None:
        """Return the text a completed call puts in evidence, or None where it is none."""
        tool = self._tools.get(record.call.tool)
        if tool is None or not tool.evidence or record.state is not CallState.DONE:
            return None
        return _in_words(record.result)

    def statement_of(self, record: CallRecord) -> str | None:
        """Return the result template of a completed call, filled in, or None."""
        tool = self._tools.get(record.call.tool)
        if tool is None or record.state is not CallState.DONE:
            return None
        return tool.tell(record.call.arguments, record.result)


def _in_words(result: Json) -> str:
    """Return a result as text a statement can be held against."""
    match result:
        case str():
            return result
        case dict():
            return "\n".join(f"{key}: {_in_words(value)}" for key, value in result.items())
        case _:
            return canonical(result)
