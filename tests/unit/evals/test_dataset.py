"""A data set is read whole or refused with file and line."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from staid.domain.errors import DatasetChanged, DatasetInvalid
from staid.domain.label import NOBODY, Label
from staid.evals.dataset import CallPattern, Case, Turn, check_manifest, fingerprint, parse_cases

Row = Callable[..., dict[str, Any]]
MakeCase = Callable[..., Case]


def test_every_field_of_the_seam_is_read(case: MakeCase) -> None:
    """Shows that each field of the documented form arrives where the graders look for it."""
    found = case(
        groups=["group:support"],
        turns=[
            {"role": "user", "text": "Hello"},
            {"role": "assistant", "text": "Hello!"},
            {"role": "user", "text": "Refund 49.10 please"},
        ],
        expect={
            "outcome": "pending",
            "contains": ["teammate"],
            "cites": ["refunds"],
            "calls": [{"tool": "refund.issue", "arguments": {"amount": 49.10}}],
            "never_calls": ["calendar.book"],
        },
        label={"allow": [["group:support"]], "deny": []},
        weight=2.5,
        origin="run_01",
    )

    assert found.asker == "user:ada"
    assert found.groups == ("group:support",)
    assert found.turns[1] == Turn("assistant", "Hello!")
    assert found.questions == ("Hello", "Refund 49.10 please")
    assert found.expect.outcome == "pending"
    assert found.expect.contains == ("teammate",)
    assert found.expect.cites == ("refunds",)
    assert found.expect.calls == (CallPattern("refund.issue", {"amount": "49.1"}),)
    assert found.expect.never_calls == (CallPattern("calendar.book"),)
    assert found.label == Label.of([["group:support"]])
    assert found.weight == 2.5
    assert found.origin == "run_01"


def test_optional_fields_have_the_careful_default(case: MakeCase) -> None:
    """Shows that a missing label means nobody, and a missing group list is not an empty one."""
    found = case()

    assert found.label == NOBODY
    assert found.groups is None
    assert found.weight == 1.0
    assert case(groups=[]).groups == ()


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"id": ...}, "id is missing"),
    ({"id": 7}, "id is not a non-empty text"),
    ({"intent": "  "}, "intent is not a non-empty text"),
    ({"as_": ...}, "as is missing"),
    ({"groups": "group:a"}, "groups is not a list"),
    ({"groups": [1]}, "groups is not a list of non-empty texts"),
    ({"turns": {"role": "user"}}, "turns is not a list"),
    ({"turns": [{"role": "system", "text": "x"}]}, "role is 'system'"),
    ({"turns": [{"role": "user", "text": "x", "id": 1}]}, "unknown key 'id' in a turn"),
    ({"expect": ...}, "expect is missing"),
    ({"expect": {}}, "could never fail"),
    ({"expect": {"outcome": None, "contains": []}}, "could never fail"),
    ({"expect": {"outcome": "success"}}, "expect.outcome is 'success'"),
    ({"expect": {"contain": ["x"]}}, "unknown key 'contain' in expect"),
    ({"expect": {"contains": [""]}}, "expect.contains"),
    ({"expect": {"calls": [{"arguments": {}}]}}, "tool is missing"),
    ({"expect": {"calls": [{"tool": "t", "args": {}}]}}, "unknown key 'args'"),
    ({"label": {"allowed": []}}, "label"),
    ({"weight": 0}, "weight"),
    ({"weight": -1}, "weight"),
    ({"weight": True}, "weight"),
    ({"weight": 10**400}, "weight"),
    ({"wieght": 2}, "unknown key 'wieght' in a case"),
]


@pytest.mark.parametrize(("fields", "detail"), UNUSABLE)
def test_an_unusable_case_names_file_line_and_fault(
    row: Row, fields: dict[str, Any], detail: str
) -> None:
    """Shows that whatever is wrong with a line is refused by file, line and plain words."""
    text = "\n".join([json.dumps(row()), "", json.dumps(row(**({"id": "b"} | fields)))])

    with pytest.raises(DatasetInvalid, match=r"Line 3 of the dataset cases\.jsonl") as caught:
        parse_cases(text, "cases.jsonl")

    assert detail in caught.value.message


@pytest.mark.parametrize("line", ["{", "[]", "null", '{"id": NaN}', "[" * 100_000])
def test_a_line_that_is_no_object_is_refused(line: str) -> None:
    """Shows that broken JSON is a coded error with its line, never a traceback."""
    with pytest.raises(DatasetInvalid, match="Line 1"):
        parse_cases(line, "cases.jsonl")


def test_a_second_case_of_the_same_id_is_refused(row: Row) -> None:
    """Shows that a duplicate id names both lines, so that no result can overwrite another."""
    text = json.dumps(row()) + "\n" + json.dumps(row(intent="other"))

    with pytest.raises(DatasetInvalid, match=r"Line 2 .* already on line 1"):
        parse_cases(text, "cases.jsonl")


def test_a_file_without_cases_is_refused() -> None:
    """Shows that an empty data set cannot pass by having nothing to fail."""
    with pytest.raises(DatasetInvalid, match="no case"):
        parse_cases("\n \n", "cases.jsonl")


def test_braces_in_a_line_do_not_break_the_message(row: Row) -> None:
    """Shows that data in an error message is never taken for a placeholder."""
    with pytest.raises(DatasetInvalid, match=r"\{0\}"):
        parse_cases(json.dumps(row(**{"{0}": 1})), "cases.jsonl")


def test_the_fingerprint_ignores_order_and_layout(row: Row) -> None:
    """Shows that only content counts: neither the order of lines and keys nor white space."""
    rows = [row(id=f"case-{number}") for number in range(5)]
    first = parse_cases("\n".join(json.dumps(r) for r in rows), "a")
    random.Random(1).shuffle(rows)
    second = parse_cases("\n\n".join(json.dumps(dict(reversed(r.items()))) for r in rows), "b")

    assert fingerprint(first) == fingerprint(second)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "other"},
        {"intent": "other"},
        {"as_": "user:bob"},
        {"groups": []},
        {"turns": []},
        {"expect": {"outcome": "abstention"}},
        {"expect": {"outcome": "answer", "contains": ["x"]}},
        {"expect": {"outcome": "answer", "cites": ["x"]}},
        {"expect": {"outcome": "answer", "calls": ["x"]}},
        {"expect": {"outcome": "answer", "never_calls": ["x"]}},
        {"label": [["public"]]},
        {"weight": 2},
        {"origin": "elsewhere"},
    ],
)
def test_the_fingerprint_sees_every_field(case: MakeCase, fields: dict[str, Any]) -> None:
    """Shows that no field of a case can change without the fingerprint changing."""
    assert fingerprint([case(**fields)]) != fingerprint([case()])


def test_a_manifest_pins_the_cases(case: MakeCase) -> None:
    """Shows that the stated hash of these very cases is accepted, with or without its prefix."""
    cases = [case()]
    stated = fingerprint(cases)

    check_manifest(cases, json.dumps({"content_hash": stated}), "cases.jsonl")
    manifest = {"content_hash": f"sha256:{stated}", "file": "cases.jsonl", "drawn": "by hand"}
    check_manifest(cases, json.dumps(manifest), "cases.jsonl")


@pytest.mark.parametrize(
    "manifest",
    [
        json.dumps({"content_hash": "0" * 64}),
        json.dumps({"drawn": "by hand"}),
        json.dumps([]),
        "{",
        "",
    ],
)
def test_a_manifest_that_does_not_pin_the_cases_is_refused(case: MakeCase, manifest: str) -> None:
    """Shows that another hash, no hash and a broken manifest all stop the comparison."""
    with pytest.raises(DatasetChanged):
        check_manifest([case()], manifest, "cases.jsonl")


def test_a_manifest_of_another_file_is_refused(case: MakeCase) -> None:
    """Shows that a manifest which names another data set pins nothing here."""
    manifest = json.dumps({"content_hash": fingerprint([case()]), "file": "other.jsonl"})

    with pytest.raises(DatasetChanged, match=r"other\.jsonl"):
        check_manifest([case()], manifest, "cases.jsonl")
