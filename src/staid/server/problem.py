"""Coded errors as HTTP: the only place that knows about statuses."""

from __future__ import annotations

import inspect
from collections import defaultdict
from dataclasses import dataclass

from staid.domain import errors
from staid.domain.errors import StaidError
from staid.server.next_step import on_a_page

_STATUS: dict[type[StaidError], int] = {
    errors.NotSignedIn: 401,
    errors.SignInLinkInvalid: 401,
    errors.RequestForeign: 403,
    errors.AskerDisabled: 403,
    errors.AgentNotFound: 404,
    errors.ApprovalNotFound: 404,
    errors.CallNotFound: 404,
    errors.ConversationNotFound: 404,
    errors.DocumentNotFound: 404,
    errors.HandoffNotFound: 404,
    errors.RunNotFound: 404,
    errors.MomentMalformed: 400,
    errors.TimesReversed: 400,
    errors.TextWithoutWords: 400,
    errors.KeyReused: 409,
    errors.RunBusy: 409,
    errors.RunInterrupted: 409,
}
"""Where the exit code alone does not say it."""

_ASKED_WRONGLY = ("ST-3", "ST-4", "ST-6")
"""Families of codes whose usage errors are the request's; the others are the operator's."""

_BY_EXIT = {1: 409, 2: 400, 3: 409, 4: 403}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as a reader of a page or of JSON gets it."""

    status: int
    code: str
    message: str
    hint: str


def status_of(error: StaidError) -> int:
    """Return the HTTP status of a coded error; 503 for whatever is not the request's fault."""
    known = _STATUS.get(type(error))
    if known is not None:
        return known
    if error.exit_code == 2 and not error.code.startswith(_ASKED_WRONGLY):
        return 503
    return _BY_EXIT.get(error.exit_code, 503)


def problem(error: StaidError, *, page: bool = False) -> Problem:
    """Return what a reader is told; values of a system error (paths, details) stay in the log.

    On a `page` the next step is said in the words of pages, else as in a terminal.
    """
    status, step = status_of(error), on_a_page(error) if page else None
    if status == 503 and error.values:
        return Problem(status, error.code, _masked(error), _blank(step or type(error).hint))
    hint = step.format(**error.values) if step else error.hint_text
    return Problem(status, error.code, error.message, hint)


def _masked(error: StaidError) -> str:
    template = inspect.cleandoc(type(error).__doc__ or "").split("\n\n")[0].replace("\n", " ")
    return _blank(template)


def _blank(template: str) -> str:
    return template.format_map(defaultdict[str, str](lambda: "…"))
