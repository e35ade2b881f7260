"""The evidence chain: statement, passage and span, document, source, who could see it."""

from __future__ import annotations

from typing import Any

from staid.domain.events import EventKind
from staid.domain.label import EVERYONE, NOBODY, Label
from staid.tracing.evidence import Origin, basis, basis_json, readers
from staid.tracing.record import Record

K = EventKind


def test_a_statement_is_followed_to_its_source(journal: Any, answered: Any) -> None:
    """The chain gives span, version, document, owner, and the rights that were needed."""
    found = basis(Record.of("run_1", journal(*answered)), {"help": Origin("user:lead", True)})
    (backed,) = found.statements
    assert (backed.document, backed.version, backed.start, backed.end) == ("help/a.md", "v1", 0, 12)
    assert (backed.text, backed.quote, backed.support) == ("Paid monthly.", "Paid m", 0.95)
    used = found.passages[0]
    assert (used.fate, used.title, used.owner, used.vetted) == ("evidence", "A", "user:lead", True)
    assert used.readers == "whoever holds group:finance or user:cfo"


def test_what_was_cut_stands_behind_what_was_kept_with_its_reason(
    journal: Any, answered: Any
) -> None:
    """Absence is told: rank and reason, and no text."""
    found = basis(Record.of("run_1", journal(*answered)), {})
    told = [(u.rank, u.document, u.fate, u.title) for u in found.passages[1:]]
    assert told == [(2, "help/b.md", "below k", ""), (3, "help/x.md", "named", "")]
    assert found.passages[1].owner is None


def test_below_the_floor_a_passage_is_no_evidence(journal: Any, answered: Any) -> None:
    """What was kept and not handed to the model is told as kept."""
    facts: list[Any] = [
        (k, {**f, "evidence": []} if k is K.FLOOR_COMPARED else f) for k, f in answered
    ]
    assert basis(Record.of("run_1", journal(*facts)), {}).passages[0].fate == "kept"


def test_what_is_hidden_has_a_place_and_nothing_else(journal: Any, answered: Any) -> None:
    """A withheld passage and statement carry neither id nor number nor word."""
    rows = journal(*answered)
    hidden = frozenset({4, 5, 9})
    value = str(basis_json(basis(Record.of("run_1", rows, hidden), {})))
    for secret in ("a.md", "b.md", "x.md", "c1", "v1", "Paid", "0.8", "0.95", "finance"):
        assert secret not in value, secret


def test_a_cut_document_that_must_not_be_named_keeps_its_rank_alone(
    journal: Any, answered: Any
) -> None:
    """Only the unnamed one of what was cut is withheld."""
    record = Record.of("run_1", journal(*answered), unnamed=frozenset({("help", "x.md")}))
    found = basis(record, {}).passages
    assert [(u.rank, u.document) for u in found[1:]] == [(2, "help/b.md"), (3, None)]
    assert "x.md" not in str(found)


def test_results_of_calls_are_part_of_the_chain(journal: Any) -> None:
    """What a tool returned is shown with the call that settled; hidden, it is not."""
    call = {"call": "cal_1", "tool": "order.look"}
    rows = journal(
        (K.CALL_PROPOSED, call),
        (K.CALL_EXECUTED, {**call, "body": {"result": {"state": "sent"}, "error": None}}),
        (K.CALL_SETTLED, {**call, "state": "done"}),
    )
    (result,) = basis(Record.of("run_1", rows), {}).results
    assert (result.tool, result.state, result.result) == ("order.look", "done", '{"state":"sent"}')
    (result,) = basis(Record.of("run_1", rows, frozenset({2})), {}).results
    assert result.result is None


def test_only_the_readers_own_rights_are_named_to_it() -> None:
    """Who else may read is not told to one of the readers; the operator sees the whole label."""
    label = Label.of([["group:a", "user:b"], ["group:c"]], ["user:d"])
    whole = "whoever holds group:a or user:b, and group:c, but not user:d"
    assert readers(label) == whole
    told = readers(label, frozenset({"group:a", "group:c", "public"}))
    assert told == "whoever holds group:a or another right, and group:c"
    assert (readers(EVERYONE), readers(NOBODY)) == ("everybody", "nobody")
