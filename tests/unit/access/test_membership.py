"""Groups inside groups, cycles included."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from staid.access.membership import closure, paths

DIRECT = {
    "user:ada": {"group:payments", "group:everyone"},
    "group:payments": {"group:finance"},
    "group:finance": {"group:staff", "group:payments"},
    "group:everyone": {"group:staff"},
}
NAMES = st.sampled_from([f"group:{letter}" for letter in "abcdef"])
graphs = st.dictionaries(NAMES, st.frozensets(NAMES, max_size=3))


def test_nested_groups_resolve_through_a_cycle() -> None:
    """A member of a nested group belongs to the outer ones; a cycle ends and adds nobody."""
    found = closure(DIRECT, "user:ada")
    assert found == {"group:payments", "group:everyone", "group:finance", "group:staff"}
    assert closure(DIRECT, "user:nobody") == frozenset()
    assert closure(DIRECT, "group:everyone") == {"group:staff"}


def test_paths_are_shortest_and_settled_by_name() -> None:
    """Each token comes with a shortest path from the principal; ties do not depend on set order."""
    found = paths(DIRECT, "user:ada")
    assert found["group:staff"] == ("user:ada", "group:everyone", "group:staff")
    assert found["group:finance"] == ("user:ada", "group:payments", "group:finance")
    assert found["user:ada"] == ("user:ada",)


@given(graphs, NAMES)
def test_closure_is_what_can_be_reached(graph: dict[str, frozenset[str]], start: str) -> None:
    """For any graph the closure ends, is closed, and holds only what a chain of groups reaches."""
    reached: set[str] = set()
    for _ in range(len("abcdef") + 1):  # the definition, by iteration to the fixed point
        reached |= {group for member in {start, *reached} for group in graph.get(member, ())}
    assert closure(graph, start) == reached


@given(graphs, NAMES)
def test_every_path_is_a_chain_of_memberships(graph: dict[str, frozenset[str]], start: str) -> None:
    """Each path leads from the principal to its token by direct memberships alone."""
    for token, path in paths(graph, start).items():
        assert (path[0], path[-1]) == (start, token)
        assert all(group in graph[member] for member, group in pairwise(path))
