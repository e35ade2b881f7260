"""Why somebody may or may not see what a label guards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from staid.access.evaluate import permits
from staid.access.explain import explain
from staid.access.membership import closure, paths
from staid.domain.label import NOBODY, Label
from staid.domain.principal import Principal

DIRECT = {
    "user:ada": frozenset({"group:payments"}),
    "group:payments": frozenset({"group:finance"}),
    "group:finance": frozenset({"group:staff"}),
}
ADA = Principal("local", "user", "ada", closure(DIRECT, "user:ada"))
PATHS = paths(DIRECT, "user:ada")


def test_an_allowed_reader_gets_a_path_for_each_clause() -> None:
    """Every clause names the token that matched it and the chain of groups that gave the token."""
    found = explain(Label.of([["group:finance", "user:cfo"], ["public"]]), ADA, PATHS)
    assert (found.allowed, found.reason, found.denied_by) == (True, "permitted", ())
    assert [(c.token, c.path) for c in found.clauses] == [
        ("group:finance", ("user:ada", "group:payments", "group:finance")),
        ("public", ("user:ada", "public")),
    ]
    assert found.path == (
        "user:ada -> group:payments -> group:finance is in group:finance, user:cfo",
        "user:ada -> public is in public",
    )


def test_a_failed_clause_is_named() -> None:
    """The clause that no token answers is the deciding line; the others are still told."""
    found = explain(Label.of([["group:board", "user:cfo"], ["group:staff"]]), ADA, PATHS)
    assert (found.allowed, found.reason) == (False, "clause failed")
    assert found.path[0] == "none of group:board, user:cfo is held"
    assert len(found.path) == 2


def test_a_deny_is_named_with_its_path() -> None:
    """A deny beats every clause and says through which groups it hit."""
    found = explain(Label.of([["public"]], ["group:finance"]), ADA, PATHS)
    assert (found.allowed, found.reason) == (False, "denied")
    assert found.denied_by == ("user:ada", "group:payments", "group:finance")
    assert found.path[0].startswith("denied: user:ada -> group:payments -> group:finance")


def test_a_label_of_nobody_says_so() -> None:
    """A missing list of rights is explained as such, never as public."""
    found = explain(NOBODY, ADA, PATHS)
    assert (found.allowed, found.reason, found.clauses) == (False, "nobody", ())
    assert "not public" in found.path[0]


TOKENS = st.sampled_from(["public", "user:ada", "group:payments", "group:staff", "group:board"])


@given(
    st.builds(
        Label.of,
        st.lists(st.sets(TOKENS, min_size=1, max_size=2), max_size=3),
        st.sets(TOKENS, max_size=1),
    ),
    st.booleans(),
)
def test_the_verdict_is_that_of_the_gate(label: Label, known: bool) -> None:  # noqa: FBT001  # drawn
    """An explanation never disagrees with the evaluation, whatever is known of the paths."""
    found = explain(label, ADA, PATHS if known else {})
    assert found.allowed == permits(label, ADA.tokens)
