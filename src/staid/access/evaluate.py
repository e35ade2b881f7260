"""The one place where a label meets the tokens of a reader."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from staid.domain.label import Label


def permits(label: Label, tokens: AbstractSet[str]) -> bool:
    """Return True only when every clause shares a token with the reader and the deny set none.

    Fails closed: no token, no clause or an empty clause is False. Nothing is implied: even
    `public` matches only where the reader's tokens hold it.
    """
    if not label.allow or not label.deny.isdisjoint(tokens):
        return False
    return all(not clause.isdisjoint(tokens) for clause in label.allow)
