"""Why somebody decided, stopped, started or took back, in their own words."""

from __future__ import annotations

from staid.domain.errors import UsageInvalid


def written(reason: str) -> str:
    """Return a reason that every store can keep; raise `UsageInvalid` where it is no text."""
    if "\0" in reason or any("\ud800" <= c <= "\udfff" for c in reason):
        raise UsageInvalid(
            detail="the reason has characters that are no text",
            hint="Nothing was changed. Write it again, without what was pasted into it.",
        )
    return reason
