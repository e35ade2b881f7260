"""The next step on a page: no command, for every error of the gates that a page can show."""

from __future__ import annotations

import re

import pytest

from staid.domain import errors
from staid.domain.errors import StaidError
from staid.server.next_step import on_a_page
from staid.server.problem import problem

COMMANDS_ALONE = {"PolicyInvalid", "SignOffRefused", "ChaosNotMeant"}
"""What a page cannot bring about, or only its operator mends."""


def made(kind: type[StaidError]) -> StaidError:
    """Return such an error with its values filled in."""
    template = f"{kind.__doc__} {kind.hint}"
    return kind(**dict.fromkeys(re.findall(r"{(\w+)}", template), "apr_7"))


def gates() -> list[type[StaidError]]:
    """Return the errors of the gates whose hint names a command."""
    found = [getattr(errors, name) for name in errors.__all__]
    return [e for e in found if e.code.startswith("ST-4") and "staid " in e.hint]


@pytest.mark.parametrize("kind", gates(), ids=lambda kind: kind.__name__)
def test_no_error_of_the_gates_sends_a_page_to_a_terminal(kind: type[StaidError]) -> None:
    """Every error whose hint names a command has words for a page, without one, filled in."""
    if kind.__name__ in COMMANDS_ALONE:
        return
    error = made(kind)
    said = problem(error, page=True).hint
    assert "staid " not in said
    assert "{" not in said
    assert problem(error).hint == error.hint_text


def test_a_hint_that_was_given_stays() -> None:
    """What an error was raised with says more than the words of its kind."""
    error = errors.ApprovalNotFound(approval="apr_7", hint="It was erased.")
    assert problem(error, page=True).hint == "It was erased."
    assert on_a_page(errors.ApproverNotAllowed(approver="a", approval="b", detail="c")) is None
