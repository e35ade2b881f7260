"""The hash of the chain is the HMAC of the standard, for every key and value."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from staid.domain.canonical import canonical
from staid.tracing.chain import keyed

TEXTS = st.lists(st.text(st.characters(codec="utf-8")) | st.integers() | st.none(), max_size=9)


@given(key=st.binary(max_size=200), value=TEXTS)
def test_the_keyed_hash_is_hmac_sha_256(key: bytes, value: list[str | int | None]) -> None:
    """Keys shorter and longer than a block, values of any length: the library says the same."""
    expected = hmac.digest(key, canonical(value).encode(), "sha256").hex()
    assert keyed(key, value) == expected
    assert keyed(key, value) == expected
