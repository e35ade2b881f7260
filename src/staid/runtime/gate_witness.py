"""What an approval rests on: read before it is shown, and again right before the call runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from staid.domain.bound import Bound, Reading
from staid.domain.call import Ruling, Severity
from staid.domain.canonical import canonical
from staid.gates.policy import Prepared, Snapshot, most_severe, rulings
from staid.gates.tool import Tool, recorded
from staid.runtime.handlers import called

_FAILED = {
    "preview": "The preview for the approver failed: {}.",
    "fingerprint": "What the approval would rest on could not be read: {}.",
}


async def witnessed(prepared: Prepared, snapshot: Snapshot) -> tuple[Bound, Prepared]:
    """Return what an approver will see and be bound to, where a human is asked at all.

    What fails denies: nobody could look at it.
    """
    undrawn = replace(prepared, draws=())
    severity = most_severe(rulings(undrawn, snapshot)).severity
    # Whether a sum asks is known only in the transaction: until then it may.
    summed = any(draw.beyond is Severity.ASK for draw in prepared.draws)
    if severity is Severity.DENY or (severity is Severity.ALLOW and not summed):
        return Bound(), prepared
    reading = await read(prepared, snapshot.policy)
    for part, why in reading.failed:
        fault = Ruling(Severity.DENY, part, _FAILED[part].format(why))
        return reading.bound, replace(prepared, fault=fault)
    return reading.bound, prepared


async def read(prepared: Prepared, policy: str) -> Reading:
    """Return everything an approval is bound to as it is now; never raises."""
    tool, failed = prepared.tool, list[tuple[str, str]]()
    if tool is None:
        return Reading()
    preview = await _asked("preview", tool.preview, str, prepared, tool, failed)
    state = await _asked("fingerprint", tool.fingerprint, _state, prepared, tool, failed)
    bound = Bound(tool.schema, tool.version, policy, preview, state)
    return Reading(bound, tuple(failed))


async def _asked(
    part: str,
    function: Callable[..., object] | None,
    words: Callable[[object], str],
    prepared: Prepared,
    tool: Tool,
    failed: list[tuple[str, str]],
) -> str | None:
    if function is None or prepared.params is None:
        return None
    try:
        # A copy: what looks at the arguments must not change what runs.
        params = prepared.params.model_copy(deep=True)
        async with asyncio.timeout(tool.timeout.total_seconds()):
            return words(await called(tool.name, function, params))
    except Exception as error:  # noqa: BLE001 - whatever it raises, nobody knows the answer
        failed.append((part, type(error).__name__))
        return None


def _state(value: object) -> str:
    return canonical(recorded(value))
