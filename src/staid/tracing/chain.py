"""The hash chain: one per run, heads sealed in order.

Hashes are HMAC-SHA-256 (RFC 2104, FIPS 180-4) under a key kept outside the database, so that
whoever can write rows cannot also recompute them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from staid.domain.canonical import canonical

if TYPE_CHECKING:
    from hashlib import _Hash  # pyright: ignore[reportPrivateUsage]  # has no public name
from staid.tracing.anchor import Anchor

BLOCK = 64
"""Bytes that SHA-256 takes in at once."""
GENESIS = "0" * 64
"""What the first row of a run, and the first seal, follow."""


def keyed(key: bytes, value: object) -> str:
    """Return the keyed hash of a value's canonical form, as 64 hex digits."""
    inner, outer = _begun(key)
    within = inner.copy()
    within.update(canonical(value).encode())
    over = outer.copy()
    over.update(within.digest())
    return over.hexdigest()


@lru_cache(maxsize=16)
def _begun(key: bytes) -> tuple[_Hash, _Hash]:
    """Return HMAC's two hashes with the key taken in, as RFC 2104 allows to be kept.

    A third of the cost of the standard library's function, which takes the key in for each value.
    """
    block = hashlib.sha256(key).digest() if len(key) > BLOCK else key
    block = block.ljust(BLOCK, b"\0")
    return (
        hashlib.sha256(bytes(byte ^ 0x36 for byte in block)),
        hashlib.sha256(bytes(byte ^ 0x5C for byte in block)),
    )


@dataclass(frozen=True, slots=True)
class Link:
    """One journal row exactly as it is stored, ready to be hashed or verified."""

    run: str
    seq: int
    kind: str
    at: str
    actor: str
    fact: str
    content: str | None
    prev: str
    hash: str


Bound: TypeAlias = tuple[str, int, str, str, str, str, str | None, str]
"""What a fact's hash covers: every field of a `Link` before its own hash, in order."""


def bind(key: bytes, fact: Bound) -> str:
    """Return the hash of a fact, which binds it to its predecessor by `prev`."""
    return keyed(key, fact)


def intact(key: bytes, row: Link) -> bool:
    """Return whether a fact's own hash is that of what the row holds."""
    bound = (row.run, row.seq, row.kind, row.at, row.actor, row.fact, row.content, row.prev)
    return bind(key, bound) == row.hash


def content_id(key: bytes, subject: str, label: str, body: str) -> str:
    """Return the address of a content row: changes with subject, label or body."""
    return keyed(key, ["content", subject, label, body])


def seal_hash(key: bytes, seq: int, run: str, head: str, prev: str) -> str:
    """Return the hash that binds a run's head to the seal before it."""
    return keyed(key, ["seal", seq, run, head, prev])


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where the record does not verify."""

    run: str
    seq: int
    problem: str
    """Plain words: what does not fit."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A run's head, sealed in order."""

    seq: int
    run: str
    head: str
    prev: str
    hash: str


def verify_run(key: bytes, rows: Iterable[Link]) -> Iterator[Finding]:
    """Give every break in one run's chain: altered, missing, inserted or reordered rows."""
    prev, expected = GENESIS, 1
    for row in rows:
        if row.seq != expected:
            yield Finding(row.run, expected, f"fact {expected} is missing")
        elif row.prev != prev:
            yield Finding(row.run, row.seq, "does not follow the fact before it")
        if not intact(key, row):
            yield Finding(row.run, row.seq, f"the fact {row.kind} was altered")
        prev, expected = row.hash, row.seq + 1


def verify_seals(key: bytes, seals: Iterable[Seal]) -> Iterator[Finding]:
    """Give every break in the chain of seals: altered, missing, inserted or reordered."""
    prev, expected = GENESIS, 1
    for row in seals:
        if row.seq != expected or row.prev != prev:
            yield Finding(row.run, 0, f"seal {expected} is missing or out of order")
        if seal_hash(key, row.seq, row.run, row.head, row.prev) != row.hash:
            yield Finding(row.run, 0, f"seal {row.seq} was altered")
        prev, expected = row.hash, row.seq + 1


def verify_anchor(anchor: Anchor, seal: Seal | None) -> Iterator[Finding]:
    """Give what speaks against the seal that was anchored: it is gone, or it is another one."""
    if seal is None:
        yield Finding(
            anchor.run, 0, f"seal {anchor.seq}, anchored at {anchor.at}, is gone: runs were cut off"
        )
    elif (seal.run, seal.hash) != (anchor.run, anchor.hash):
        yield Finding(
            anchor.run,
            0,
            f"seal {anchor.seq} is not the one anchored at {anchor.at}: the record was rewritten",
        )
