"""Errors 530 to 534: finding runs."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class MomentMalformed(StaidError):
    """{value} is neither a time nor a length of time before now."""

    code = "ST-530"
    hint = "Write 2026-05-01, 2026-05-01T14:30Z, or 24h or 7d for so long ago. Times are in UTC."
    exit_code = 2


class TextWithoutWords(StaidError):
    """There is no word in {text} to look for."""

    code = "ST-531"
    hint = 'Give words as they were said: --text "annual plans are refunded"'
    exit_code = 2


class NothingSaid(StaidError):
    """Nobody asked or said {text}{to}."""

    code = "ST-532"
    hint = (
        "Give fewer words, in a row, as they were said; or look through `staid runs list`. "
        "What was erased is not found."
    )
    exit_code = 2


class TimesReversed(StaidError):
    """Nothing can be from {since} on and before {until}."""

    code = "ST-533"
    hint = (
        "The first moment is the earlier one: since 2026-05-01, until 2026-06-01. Times are in UTC."
    )
    exit_code = 2


class WhoMalformed(StaidError):
    """{value} names nobody."""

    code = "ST-534"
    hint = "Write it with its kind: user:ada, or user:ISSUER/ID. `staid runs list` shows who asked."
    exit_code = 2
