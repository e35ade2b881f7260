"""Whom a tool asks: what nobody could decide is refused when the tool is defined."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from staid.domain.errors import ToolInvalid
from staid.gates.terms import Asked, amount_of, terms_of


class Refund(BaseModel):
    """A refund."""

    amount: Decimal


def asked(**options: Any) -> Asked:
    """Return what an author wrote: one lead, within a week, unless told otherwise."""
    plain: dict[str, Any] = {
        "approvers": "group:leads",
        "quorum": 1,
        "ceilings": {},
        "expires_after": "7d",
        "escalate_after": None,
        "escalate_to": (),
    }
    return Asked(**{**plain, **options})


def test_what_is_written_is_what_is_asked() -> None:
    """Names, numbers and times become terms; a single name is a list of one."""
    written = asked(
        quorum=2,
        ceilings={"group:leads": "500", "user:cfo": 5000},
        expires_after=timedelta(hours=5),
        escalate_after="4h",
        escalate_to=["user:cfo"],
    )
    terms = terms_of("t", Refund, "amount", written)
    assert terms.approvers == {"group:leads"}
    assert terms.escalate_to == {"user:cfo"}
    assert (terms.quorum, terms.expires_after) == (2, timedelta(hours=5))
    assert terms.escalate_after == timedelta(hours=4)
    assert terms.ceilings == {"group:leads": Decimal(500), "user:cfo": Decimal(5000)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quorum": 0}, "at least 1"),
        ({"quorum": True}, "at least 1"),
        ({"approvers": ["user:a"], "quorum": 2}, "fewer approvers"),
        ({"escalate_after": "1h"}, "go together"),
        ({"escalate_to": "user:cfo"}, "go together"),
        (
            {"approvers": (), "escalate_after": "1h", "escalate_to": "user:cfo"},
            "names no approvers",
        ),
        ({"escalate_after": "7d", "escalate_to": "user:cfo"}, "expire before it escalates"),
        ({"escalate_after": "8d", "escalate_to": "user:cfo"}, "expire before it escalates"),
        ({"approvers": "leads"}, "'leads' is no approver"),
        ({"approvers": "agent:support"}, "'agent:support' is no approver"),
        ({"approvers": "user:"}, "'user:' is no approver"),
        ({"escalate_after": "1h", "escalate_to": "cfo"}, "'cfo' is no approver"),
        ({"ceilings": {"cfo": 1}}, "'cfo' is no approver"),
        ({"ceilings": {"user:cfo": "much"}}, "is no number"),
        ({"ceilings": {"user:cfo": "NaN"}}, "no number"),
        ({"ceilings": {"user:cfo": -1}}, "below 0"),
        ({"expires_after": "soon"}, "not a duration"),
        ({"expires_after": timedelta(0)}, "not a positive duration"),
    ],
)
def test_what_nobody_could_meet(options: dict[str, Any], words: str) -> None:
    """Each mistake is refused with words that name it."""
    with pytest.raises(ToolInvalid, match=words):
        terms_of("t", Refund, "amount", asked(**options))


def test_a_quorum_of_people_and_a_group() -> None:
    """A group may hold as many people as it takes; people who escalation adds count, too."""
    assert terms_of("t", Refund, None, asked(approvers=["user:a", "group:b"], quorum=9)).quorum == 9
    two = asked(approvers="user:a", quorum=2, escalate_after="1h", escalate_to="user:b")
    assert terms_of("t", Refund, None, two).quorum == 2


@pytest.mark.parametrize(
    ("amount", "ceilings", "words"),
    [("total", {}, "no argument"), (None, {"user:cfo": 1}, "name the argument")],
)
def test_ceilings_are_about_an_argument(
    amount: str | None, ceilings: dict[str, int], words: str
) -> None:
    """Without an argument that is there, a ceiling would bound nothing."""
    with pytest.raises(ToolInvalid, match=words):
        terms_of("t", Refund, amount, asked(ceilings=ceilings))


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (12, Decimal(12)),
        (0.1, Decimal("0.1")),
        ("98.70", Decimal("98.70")),
        (True, None),
        (None, None),
        ([1], None),
        ("much", None),
        ("NaN", None),
        ("Infinity", None),
    ],
)
def test_the_amount_at_stake(value: Any, amount: Decimal | None) -> None:
    """What is no finite number is not guessed: nobody's ceiling covers it then."""
    assert amount_of({"amount": value}, "amount") == amount


def test_no_amount() -> None:
    """A tool that names none has none; an argument that was not given is none."""
    assert amount_of({"amount": 1}, None) is None
    assert amount_of({}, "amount") is None
