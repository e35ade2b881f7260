"""Moments as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from staid.domain.errors.search import MomentMalformed, TimesReversed

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(value: str, now: datetime) -> datetime:
    """Return the moment that is written: a date, a time, or a length of time before now; in UTC.

    A date is its first moment, a time without a zone is in UTC. Raises `MomentMalformed`.
    """
    ago = _AGO.fullmatch(value.strip())
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        given = datetime.fromisoformat(value.strip())
        return given.replace(tzinfo=given.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MomentMalformed(value=value) from error


def check_order(since: datetime | None, until: datetime | None) -> None:
    """Raise `TimesReversed` where nothing can lie between the two."""
    if since is not None and until is not None and since >= until:
        first, last = (f"{each:%Y-%m-%d %H:%M:%S}Z" for each in (since, until))
        raise TimesReversed(since=first, until=last)
