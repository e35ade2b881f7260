"""Moments as people write them, and words as they are compared."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from staid.domain.errors.search import MomentMalformed
from staid.domain.moment import moment

NOW = datetime(2026, 5, 8, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
        ("2026-05-01T14:30", datetime(2026, 5, 1, 14, 30, tzinfo=UTC)),
        ("2026-05-01T14:30Z", datetime(2026, 5, 1, 14, 30, tzinfo=UTC)),
        ("2026-05-01T14:30+02:00", datetime(2026, 5, 1, 12, 30, tzinfo=UTC)),
        (" 7d ", datetime(2026, 5, 1, 12, 30, tzinfo=UTC)),
        ("30m", datetime(2026, 5, 8, 12, tzinfo=UTC)),
        ("1w", datetime(2026, 5, 1, 12, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read(written: str, meant: datetime) -> None:
    """Dates, times with and without a zone and lengths of time before now come out in UTC."""
    assert moment(written, NOW) == meant


@pytest.mark.parametrize(
    "written", ["", "now", "7", "d", "-7d", "2026-13-01", "999999w", "0001-01-01T00:00+14:00"]
)
def test_what_is_no_moment_is_an_error(written: str) -> None:
    """Nothing is guessed, and what is out of range is told, too."""
    with pytest.raises(MomentMalformed):
        moment(written, NOW)
