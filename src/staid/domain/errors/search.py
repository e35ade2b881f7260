"""Errors 530 to 532: finding runs."""

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
