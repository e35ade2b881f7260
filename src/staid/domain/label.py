"""Labels: the canonical access control list of a document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from staid.domain.canonical import canonical
from staid.domain.errors import LabelInvalid
from staid.domain.principal import PUBLIC


@dataclass(frozen=True, slots=True)
class Label:
    """A conjunction of OR-clauses plus a deny set. Built canonical: equal rights are equal values.

    An asker is permitted when every clause shares a token with the asker, and the deny set none.
    No clause at all means nobody. Public is only the explicit clause `["public"]`.
    """

    allow: tuple[frozenset[str], ...]
    deny: frozenset[str] = field(default_factory=frozenset[str])

    @classmethod
    def of(cls, allow: Iterable[Iterable[str]], deny: Iterable[str] = ()) -> Label:
        """Build the canonical label; an empty clause or no clause gives the label of nobody."""
        clauses = {frozenset(clause) for clause in allow}
        if not clauses or frozenset[str]() in clauses:
            return NOBODY
        # A clause that contains another one asks for less than it and decides nothing.
        least = [c for c in clauses if not any(other < c for other in clauses)]
        return cls(tuple(sorted(least, key=sorted)), frozenset(deny))

    @classmethod
    def parse(cls, value: object) -> Label:
        """Read a label from a file: `{"allow": [[…]], "deny": […]}` or the bare list of clauses.

        Missing (`None`) or `[]` means nobody. Any other shape raises `LabelInvalid`, because a
        label that was meant to restrict must not be guessed.
        """
        if value is None:
            return NOBODY
        if isinstance(value, dict):
            fields = cast("dict[object, object]", value)
            unknown = sorted(str(key) for key in fields if key not in {"allow", "deny"})
            if unknown:
                raise LabelInvalid(detail=f"unknown key {unknown[0]!r}")
            return cls.of(_clauses(fields.get("allow")), _tokens(fields.get("deny", [])))
        return cls.of(_clauses(value))

    @property
    def key(self) -> str:
        """The canonical text of the label: what a class is interned by."""
        return canonical({"allow": [sorted(c) for c in self.allow], "deny": sorted(self.deny)})

    def __and__(self, other: Label) -> Label:
        """Return the label that asks for both: clauses and deny sets joined."""
        if not self.allow or not other.allow:
            return NOBODY
        return Label.of((*self.allow, *other.allow), self.deny | other.deny)


def _clauses(value: object) -> list[list[str]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise LabelInvalid(detail="`allow` is a list of clauses, each a list of tokens")
    return [_tokens(clause) for clause in cast("list[object]", value)]


def _tokens(value: object) -> list[str]:
    if not isinstance(value, list):
        raise LabelInvalid(detail="a clause is a list of tokens such as `group:finance`")
    return [_token(item) for item in cast("list[object]", value)]


def _token(value: object) -> str:
    if isinstance(value, str) and (value == PUBLIC or _well_formed(value)):
        return value
    raise LabelInvalid(
        detail=f"{value!r} is not a token such as `group:finance`, `user:ada` or `public`"
    )


def _well_formed(token: str) -> bool:
    kind, colon, name = token.partition(":")
    return bool(colon and name.strip() == name and name) and kind in {
        "user",
        "group",
        "service",
        "agent",
    }


NOBODY = Label(())
"""The label that permits no one: what a missing label means."""
EVERYONE = Label((frozenset({PUBLIC}),))
"""The explicit public label."""


def conjunction(labels: Iterable[Label]) -> Label:
    """Return the label of what was derived from all of these; of nothing: `EVERYONE`."""
    result = EVERYONE
    for label in labels:
        result = result & label if result is not EVERYONE else label
    return result
