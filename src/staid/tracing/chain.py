"""The hash chain: one per run, heads sealed in order.

Hashes are HMAC-SHA-256 (RFC 2104, FIPS 180-4) under a key kept outside the database, so that
whoever can write rows cannot also recompute them.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from staid.domain.canonical import canonical

GENESIS = "0" * 64
"""What the first row of a run, and the first seal, follow."""


def keyed(key: bytes, value: object) -> str:
    """Return the keyed hash of a value's canonical form, as 64 hex digits."""
    return hmac.new(key, canonical(value).encode(), sha256).hexdigest()


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


def link(key: bytes, row: Link) -> Link:
    """Return the row with its hash, bound to its predecessor by `row.prev`."""
    return replace(row, hash=_hash(key, row))


def _hash(key: bytes, row: Link) -> str:
    parts = [row.run, row.seq, row.kind, row.at, row.actor, row.fact, row.content, row.prev]
    return keyed(key, parts)


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


def verify_run(key: bytes, rows: Iterable[Link]) -> list[Finding]:
    """Return every break in one run's chain: altered, missing, inserted or reordered rows."""
    findings: list[Finding] = []
    prev, expected = GENESIS, 1
    for row in rows:
        if row.seq != expected:
            findings.append(Finding(row.run, expected, f"fact {expected} is missing"))
        elif row.prev != prev:
            findings.append(Finding(row.run, row.seq, "does not follow the fact before it"))
        if _hash(key, row) != row.hash:
            findings.append(Finding(row.run, row.seq, f"the fact {row.kind} was altered"))
        prev, expected = row.hash, row.seq + 1
    return findings


def verify_seals(
    key: bytes, seals: Iterable[Seal], hashes: Mapping[str, set[str]]
) -> list[Finding]:
    """Return every break in the chain of seals, and every sealed head that its run has lost."""
    findings: list[Finding] = []
    prev, expected = GENESIS, 1
    for row in seals:
        if row.seq != expected or row.prev != prev:
            findings.append(Finding(row.run, 0, f"seal {expected} is missing or out of order"))
        if seal_hash(key, row.seq, row.run, row.head, row.prev) != row.hash:
            findings.append(Finding(row.run, 0, f"seal {row.seq} was altered"))
        if row.head not in hashes.get(row.run, set()):
            findings.append(Finding(row.run, 0, f"the facts that seal {row.seq} covers are gone"))
        prev, expected = row.hash, row.seq + 1
    return findings
