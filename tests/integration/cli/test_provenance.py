"""What an approver is shown of where the arguments come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from staid.cli.provenance import provenance_lines
from staid.gates.sources import Origin
from staid.project.provenance import Place, Provenance

Run = Callable[..., Any]


def test_an_approver_sees_where_each_argument_comes_from(ready: Run) -> None:
    """`approvals show` tells the origin of every argument, for people and for programs."""
    waiting = ready("ask", "Please refund 200 for order A1", "--as", "user:ada", "--agent", "desk")
    approval = waiting.body["approvals"][0]
    shown = ready("approvals", "show", approval, "--as", "user:lead").body["provenance"]
    assert [(each["path"], each["origin"]) for each in shown] == [
        ("amount", "user"),
        ("order_id", "user"),
    ]
    place = {"source": "the asker's words", "before": "", "words": "A1", "after": ""}
    assert shown[1]["places"] == [place]


def test_the_words_are_marked_where_they_stand() -> None:
    """A document's words stand in brackets among those around them; withheld ones are not there."""
    here = Place("mail/7", "pay\nto ", "GB29", " now")
    lines = provenance_lines(
        [Provenance("account", Origin.DOCUMENT, (here, Place("", withheld=True)))]
    )
    assert lines == [
        "  account: from a document that anybody may have written",
        "      mail/7: …pay to [GB29] now…",
        "      in a text that you may not read (--as says who reads)",
    ]
