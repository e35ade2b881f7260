"""Labels against tokens: examples, and the algebra that nothing may break."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staid.access.classes import label_of, visible
from staid.access.evaluate import permits
from staid.access.scope import Scope
from staid.domain.label import EVERYONE, NOBODY, Label

TOKENS = st.sampled_from(["public", "user:ada", "group:a", "group:b", "group:c"])
readers = st.frozensets(TOKENS)
clauses = st.sets(TOKENS, min_size=1, max_size=3)
labels = st.builds(Label.of, st.lists(clauses, max_size=3), st.sets(TOKENS, max_size=2))


@pytest.mark.parametrize(
    ("label", "tokens", "expected"),
    [
        (EVERYONE, {"public"}, True),
        (EVERYONE, {"user:ada"}, False),
        (NOBODY, {"public", "user:ada"}, False),
        (Label((frozenset[str](),)), {"public"}, False),
        (Label.of([["group:a", "user:ada"]]), {"user:ada"}, True),
        (Label.of([["group:a"], ["group:b"]]), {"group:a"}, False),
        (Label.of([["group:a"], ["group:b"]]), {"group:a", "group:b"}, True),
        (Label.of([["public"]], ["user:ada"]), {"public", "user:ada"}, False),
        (Label.of([["group:ab"]]), {"group:a"}, False),
        (Label.parse(None), {"public"}, False),
        (Label.parse([]), {"public"}, False),
        (Label.parse([["public"], []]), {"public"}, False),
    ],
)
def test_examples(label: Label, tokens: set[str], expected: bool) -> None:  # noqa: FBT001  # a table of verdicts
    """AND of OR-clauses, deny first, nothing implied: missing, empty and foreign permit nobody."""
    assert permits(label, tokens) is expected


@given(labels)
def test_no_tokens_see_nothing(label: Label) -> None:
    """A reader without a token sees nothing, public included."""
    assert not permits(label, frozenset())


@given(labels, labels, readers)
def test_conjunction_permits_when_both_do(one: Label, two: Label, tokens: frozenset[str]) -> None:
    """A derived label permits exactly those whom every label it came from permits."""
    assert permits(one & two, tokens) == (permits(one, tokens) and permits(two, tokens))


@given(labels, labels, labels)
def test_conjunction_is_an_algebra(one: Label, two: Label, three: Label) -> None:
    """Conjunction is commutative, associative and idempotent on the value, so classes intern."""
    assert one & two == two & one
    assert (one & two) & three == one & (two & three)
    assert one & one == one
    assert one & NOBODY == NOBODY


@given(labels, st.sets(TOKENS, max_size=2), readers)
def test_more_deny_never_widens(label: Label, deny: set[str], tokens: frozenset[str]) -> None:
    """Adding to the deny set takes readers away and never gives any."""
    assert permits(label, tokens) or not permits(Label(label.allow, label.deny | deny), tokens)


@given(labels, clauses, readers)
def test_more_clauses_never_widen(label: Label, clause: set[str], tokens: frozenset[str]) -> None:
    """Adding a clause takes readers away and never gives any."""
    if label.allow:
        assert permits(label, tokens) or not permits(
            Label.of([*label.allow, clause], label.deny), tokens
        )


@given(labels, readers)
def test_deny_beats_allow(label: Label, tokens: frozenset[str]) -> None:
    """Whoever holds a denied token is never permitted."""
    assert label.deny.isdisjoint(tokens) or not permits(label, tokens)


@given(labels, readers, st.none() | readers, st.lists(readers, max_size=2))
def test_scope_only_narrows(
    label: Label,
    asker: frozenset[str],
    agent: frozenset[str] | None,
    audience: list[frozenset[str]],
) -> None:
    """Asker AND agent AND every reader of the answer: exactly the conjunction of their verdicts."""
    everybody = [asker, *audience] + ([agent] if agent is not None else [])
    scope = Scope(asker, agent, tuple(audience))
    assert scope.permits(label) == all(permits(label, tokens) for tokens in everybody)


@given(st.dictionaries(st.integers(1, 9), labels), readers)
def test_visible_classes_are_those_permitted(
    classes: dict[int, Label], tokens: frozenset[str]
) -> None:
    """The visible classes are the permitted ones, ascending, and no other."""
    expected = sorted(n for n, label in classes.items() if permits(label, tokens))
    assert visible(classes, Scope(tokens)) == tuple(expected)


@given(labels)
def test_a_class_key_gives_the_label_back(label: Label) -> None:
    """Interning loses nothing: the key of a label is the label."""
    assert label_of(label.key) == label
