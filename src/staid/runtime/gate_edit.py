"""Editing a request: another call, proposed by a person, ruled on like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from staid.domain.call import ApprovalRecord, CallRecord
from staid.domain.canonical import Json
from staid.domain.errors import EditInvalid, ToolUnknown
from staid.domain.message import ProposedCall
from staid.domain.principal import Principal
from staid.gates.ledger import Edit
from staid.gates.policy import prepare
from staid.gates.provenance import Traced, edited
from staid.gates.tool import Tool
from staid.runtime.gate_propose import Proposer, Proposing


class Editing(Proposing):
    """Lets a person change what waits for one."""

    async def edit(
        self,
        edit: Edit,
        changes: Mapping[str, Json],
        *,
        asker: Principal,
        allowed: frozenset[str] | None = None,
        traced: Iterable[Traced] = (),
    ) -> CallRecord:
        """Put a changed call in the place of one that waits; executes nothing.

        The new call passes every bound, and its editor is upstream of it: where the rules still ask
        a human, somebody else has to approve it; where they do not, it may run. `asker` is on whose
        behalf it is, `allowed` the agent's allowlist as of now; None: the tool was on it when the
        call was proposed. `traced` says where the arguments of the call that waits come from.

        Raises what `decide` raises, `EditInvalid`, and `EditDenied` where a bound does not allow
        it; then the request waits on as it was.
        """
        found = await asyncio.to_thread(self._ledger.approval, edit.approval)
        asked = found.call
        tool = self._tools.get(asked.tool)
        if tool is None:
            raise ToolUnknown(tool=asked.tool)
        if asker.token != asked.subject:
            message = f"the call is on behalf of {asked.subject}, not of {asker.token}"
            raise ValueError(message)
        arguments = _changed(found, tool, changes)
        prepared = prepare(asked.tool, tool, arguments, asked.subject, asked.agent, self._policy)
        if prepared.arguments == asked.arguments:
            raise EditInvalid(approval=found.id, detail="it changes nothing")
        proposer = Proposer(
            run=asked.run,
            agent=asked.agent,
            allowed=frozenset({asked.tool}) if allowed is None else allowed,
            principal=asker,
            upstream=found.requested_by,
        )
        proposal = ProposedCall(asked.provider_id, asked.tool, arguments)
        by = edit.editor.token
        origins = edited(asked.arguments, prepared.arguments, traced, found.id, by)
        known = await self._known(tool, proposer, origins)
        wanted = await self._proposal(proposal, prepared, proposer, None, (origins, known))
        return await asyncio.to_thread(self._ledger.edit, wanted, edit)


def _changed(found: ApprovalRecord, tool: Tool, changes: Mapping[str, Json]) -> dict[str, Json]:
    unknown = sorted(set(changes) - set(tool.params.model_fields))
    if unknown:
        detail = f"{found.call.tool} has no argument {unknown[0]}"
        raise EditInvalid(approval=found.id, detail=detail)
    return {**found.call.arguments, **changes}
