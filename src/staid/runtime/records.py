"""The records that rules of the policy look into, read before a call is ruled on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pydantic import BaseModel

from staid.domain.call import Severity
from staid.domain.canonical import Json
from staid.gates.policy import Prepared, Snapshot, most_severe, rulings
from staid.gates.tool import Tool, recorded
from staid.runtime.handlers import called


async def looked_up(prepared: Prepared, snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with every record that a rule about the call looks into.

    One that cannot be looked up is left out, so that no rule which needs it can be decided. None is
    looked up for a call that the hard bounds deny.
    """
    tool, bounds = prepared.tool, prepared.bounds
    if tool is None or bounds is None or prepared.params is None:
        return snapshot
    wanted = sorted(bounds.records & tool.lookups.keys())
    if not wanted or _denied(prepared, snapshot):
        return snapshot
    limit, params = tool.timeout.total_seconds(), prepared.params
    found = await asyncio.gather(*(_record(tool, n, params, limit) for n in wanted))
    known = {name: one[0] for name, one in zip(wanted, found, strict=True) if one is not None}
    return replace(snapshot, records=known)


def _denied(prepared: Prepared, snapshot: Snapshot) -> bool:
    bare = replace(prepared, bounds=None, draws=())
    return most_severe(rulings(bare, snapshot)).severity is Severity.DENY


async def _record(tool: Tool, name: str, params: BaseModel, limit: float) -> tuple[Json] | None:
    try:
        async with asyncio.timeout(limit):
            # A copy: a look-up that changes what it looks at must not change what runs.
            found = await called(tool.name, tool.lookups[name], params.model_copy(deep=True))
            return (recorded(found),)
    except Exception:  # noqa: BLE001 - whatever a look-up raises, the record is not known
        return None
