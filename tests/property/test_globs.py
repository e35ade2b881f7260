"""Patterns of `*` and `?`: any of them fits exactly the texts that a regular expression says."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from staid.gates.expression.values import globbed

pieces = st.text(alphabet="ab?", max_size=4)
patterns = st.one_of(st.lists(pieces, min_size=1, max_size=5).map("*".join), st.text("ab*?"))
texts = st.text(alphabet="abc\n", max_size=12)


@given(patterns, texts)
@settings(max_examples=2000, deadline=None)
@example("ab*ba", "aba")
@example("*b*b", "ab")
@example("*a?*?b*", "xaabb")
@example("a?", "a")
@example("*a?a", "aab")
@example("*a?c*", "aabc")
@example("", "")
def test_a_pattern_fits_what_a_regular_expression_says(pattern: str, text: str) -> None:
    """Ends, any character and what stands between two stars, in texts of two letters and more."""
    signs = {"*": ".*", "?": "."}
    regular = "".join(signs.get(one, re.escape(one)) for one in re.sub(r"\*+", "*", pattern))
    assert globbed(pattern)(text) is (re.fullmatch(regular, text, re.DOTALL) is not None)
