"""Reading a policy: every mistake is coded and placed, and what YAML may hide is refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel

from staid.domain.errors import PolicyInvalid, PolicyUnreadable
from staid.gates.tool import define
from staid.project.policy_file import (
    BLOCK_KEYS,
    BUDGET_KEYS,
    CONSTRAINT_KEYS,
    RULE_KEYS,
    PolicyFile,
    parse_policy,
    read_policy,
)
from staid.project.policy_schema import schema


class Refund(BaseModel):
    """A refund."""

    amount: Decimal
    to: list[str] = []


def _refund(_: Refund) -> None:
    """Refund."""


TOOL = define(_refund, "refund.issue", amount="amount")
HEAD = "version: 1\ntools:\n  refund.issue:\n    rules:\n"


def read(text: str | bytes) -> PolicyFile:
    """Read a policy for one tool."""
    data = text.encode() if isinstance(text, str) else text
    return parse_policy(data, Path("policy.yaml"), {TOOL.name: TOOL})


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", (1, 1), "empty"),
        ("version: 2\n", (1, 10), "version 1"),
        ("tools: {}\n", (1, 1), "'version' is missing"),
        ("version: 1\ntool: {}\n", (2, 1), "did you mean 'tools'?"),
        ("version: 1\nversion: 1\n", (2, 1), "stands twice"),
        ("version: 1\ntools: &a {}\nroles: *a\n", (2, 8), "aliases"),
        ("version: 1\ntools: !!python/object:os.system {}\n", (2, 8), "tags"),
        ("version: 1\ntools: {<<: {}}\n", (2, 9), "merge keys"),
        ("version: 1\ntools: [" + "[" * 40 + "]" * 40 + "]\n", (2, 27), "nested too deep"),
        ("version: 1\ntools: {refund.isue: {}}\n", (2, 9), "did you mean 'refund.issue'?"),
        ("version: 1\nroles: {r: [refund.issue.amout]}\n", (2, 13), "did you mean 'amount'?"),
        ("version: 1\ntimezone: Mars/Base\n", (2, 11), "no time zone"),
        (HEAD + "      - {name: a, when: amount > 1, then: aks}\n", (5, 43), "'ask'?"),
        (HEAD + "      - {name: a, when: amount >, then: ask}\n", (5, 33), "not finished"),
        (HEAD + "      - {name: a, when: to > 1, then: ask}\n", (5, 28), "cannot be compared"),
        (HEAD + "      - {when: amount > 1, then: ask}\n", (5, 9), "'name' is missing"),
        (HEAD + "      - {name: a, then: deny, quorum: 2}\n", (5, 39), "only a rule"),
        (HEAD + "      - {name: a, then: ask, quorum: 0}\n", (5, 38), "from 1 to 100"),
        (HEAD + "      - {name: a, then: ask, approvers: [leads]}\n", (5, 42), "group:leads"),
        (HEAD + "      - {name: a, then: ask}\n      - {name: a, then: ask}\n", (6, 16), "line 5"),
        (
            HEAD + "      - name: a\n        then: ask\n        when: |\n          amount > 1\n"
            "          and amout > 2\n",
            (9, 15),
            "did you mean 'amount'?",
        ),
    ],
)
def test_a_mistake_has_a_place_and_says_what_was_meant(
    text: str, place: tuple[int, int], words: str
) -> None:
    """Line and column point at the mistake, and the policy is refused as a whole."""
    found = read(text)
    first = found.faults[0]
    assert (first.line, first.column) == place
    assert words in first.detail
    with pytest.raises(PolicyInvalid, match=rf"policy.yaml:{place[0]}:{place[1]}"):
        found.required()


def test_all_mistakes_are_found_at_once() -> None:
    """One reading finds them all, in the order of the file."""
    found = read(
        HEAD + "      - {name: a, when: amout > 1, then: ask}\n"
        "      - {name: b, when: amount > x, then: ask}\n      - {name: c, then: perhaps}\n"
    )
    assert [fault.line for fault in found.faults] == [5, 6, 7]


def test_bytes_that_are_no_text_are_refused() -> None:
    """The line of the byte that is no UTF-8 is told."""
    assert read(b"version: 1\n\xff\n").faults[0].line == 2


def test_an_expression_too_deep_is_refused_before_anything_is_built() -> None:
    """Ten thousand brackets and a chain of ten thousand sums are faults, not crashes."""
    for bomb in ("(" * 3000 + "1" + ")" * 3000, "1" + "+1" * 3000, "not " * 1900 + "true"):
        assert (
            "too"
            in read(HEAD + f"      - {{name: a, when: '{bomb}', then: ask}}\n").faults[0].detail
        )


def test_a_huge_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    """Neither is read as a policy without rules."""
    assert "at most" in read(b"#" * (5 * 1024 * 1024 + 1)).faults[0].detail
    with pytest.raises(PolicyUnreadable):
        read_policy(tmp_path / "policy.yaml", {})


def test_the_version_is_that_of_what_is_said() -> None:
    """Comments and the order of rules change nothing; a number does."""
    one, two = "      - {name: a, then: ask}\n", "      - {name: b, when: amount > 1, then: ask}\n"
    versions = {
        read(HEAD + one + two).policy.version,
        read("# a comment\n" + HEAD + two + one).policy.version,
    }
    assert len(versions) == 1
    assert read(HEAD + one + two.replace("> 1", "> 2")).policy.version not in versions


@pytest.mark.parametrize("when", ["when: amount > 1, ", "unless: amount <= 1, ", ""])
def test_ceilings_need_an_amount(when: str) -> None:
    """At a tool that does not name its amount nobody could approve: a mistake, told by its rule."""
    text = HEAD + f"      - {{name: a, {when}then: ask, ceilings: {{group:leads: '5'}}}}\n"
    assert read(text).faults == []
    plain = define(_refund, "refund.issue")
    (fault,) = parse_policy(text.encode(), Path("policy.yaml"), {plain.name: plain}).faults
    assert fault.line == 5
    assert "rule a, tool refund.issue: it has ceilings, and the tool does not say" in fault.detail


def test_terms_and_budgets_are_read() -> None:
    """Who decides, how many, up to what and until when; and limits on running totals."""
    policy = read(
        HEAD + "      - {name: a, then: ask, approvers: [group:leads], quorum: 2, "
        'ceilings: {group:leads: "5000"}, escalate: {after: 1h, to: [user:cfo]}, expires: 2d}\n'
        '    budgets: [{limit: "500", sum_of: amount, per: customer, window: 1d}]\n'
    ).required()
    about = policy.about(TOOL)
    terms = about.rules[0].terms
    assert (terms.quorum, terms.ceilings) == (2, {"group:leads": Decimal(5000)})
    assert (terms.escalate_after, terms.expires_after) == (timedelta(hours=1), timedelta(days=2))
    assert [budget.limit for budget in about.budgets] == [Decimal(500)]


def test_a_tool_that_is_registered_later_is_ruled_on_too() -> None:
    """A pattern, or `unknown: ok`, speaks about tools that nobody knows yet.

    A rule that turns out to mean nothing for one is kept as broken, and denies its calls.
    """
    text = "version: 1\ntools:\n  later.tool: {unknown: ok, rules: [{name: a, then: ask}]}\n"
    assert not read(text).faults
    glob = 'version: 1\ntools:\n  "mcp.*": {rules: [{name: a, when: path == "/", then: ask}]}\n'
    policy = read(glob).required()
    about = policy.about(define(_refund, "mcp.files"))
    assert [broken.message for broken in about.broken]


@pytest.mark.parametrize(
    ("part", "keys"),
    [("rules", RULE_KEYS), ("constraints", CONSTRAINT_KEYS), ("budgets", BUDGET_KEYS)],
)
def test_the_published_schema_names_the_keys_that_are_read(
    part: str, keys: tuple[str, ...]
) -> None:
    """What an editor offers is what the reader takes, no more and no less."""
    block = schema()["properties"]["tools"]["additionalProperties"]["properties"]
    assert set(block) == set(BLOCK_KEYS)
    assert set(block[part]["items"]["properties"]) == set(keys)
