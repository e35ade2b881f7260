"""Where spans stand on one axis, so that days of waiting do not hide what took milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from staid.tracing.waterfall import Span

WAITING = 0.12
"""Share of the axis that each stretch of pure waiting takes, while they fit."""
_BUSY = frozenset({"retrieval", "floor", "model", "check", "ruling", "tool", "record"})


def placed(spans: Sequence[Span]) -> list[tuple[float, float]]:
    """Return start and end of every span between 0 and 1, in order.

    True to scale, but for stretches in which nothing was worked on: each of these takes the same
    short length, so the axis says by itself that it is broken there.
    """
    edges = sorted({edge for s in spans for edge in (s.offset, s.offset + s.duration)})
    stretches = list(pairwise(edges))
    busy = [_worked(spans, start, end) for start, end in stretches]
    worked = sum(end - start for (start, end), b in zip(stretches, busy, strict=True) if b)
    waits = busy.count(False)
    # Without work all stretches are equal; with much waiting it gets at most half of the axis.
    share = min(WAITING, 0.5 / waits) if worked and waits else 1 / max(waits, 1)
    rest = 1 - share * waits if worked else 0.0
    place, at = 0.0, {edges[0]: 0.0} if edges else {}
    for (start, end), b in zip(stretches, busy, strict=True):
        place += (end - start) / worked * rest if b else share
        at[end] = min(place, 1.0)
    return [(at[s.offset], at[s.offset + s.duration]) for s in spans]


def _worked(spans: Sequence[Span], start: float, end: float) -> bool:
    return any(s.kind in _BUSY and s.offset < end and s.offset + s.duration > start for s in spans)
