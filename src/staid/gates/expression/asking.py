"""Questions about one text alone: what lists of texts are asked item by item without a rule's tree.

Most rules over lists ask whether one of their texts begins, ends or reads so. Such a body is one
plain function of a text; the texts of a list are read, and put into small letters, once for a call.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import cast

from staid.gates.expression.parts import STEPS, Asks, Env, Holds, Needs, Part, Slots, Split, Way
from staid.gates.expression.values import Value

LONGEST_MATCHED = 100_000
"""Characters of a text that `matches` looks at; a longer one cannot be decided."""

PLAIN = frozenset({str, Decimal})
"""Types whose values may be looked up in a set."""


def asking(part: Part, holds: Holds) -> Asks | None:
    """Return the question about a part that is a text out of a slot, else None."""
    read = _read(part)
    return Asks(*read, holds) if read is not None else None


def needing(part: Part, way: Way, words: Iterable[str]) -> Needs | None:
    """Return what is needed of a part that is a text out of a slot; None where any will do."""
    read, found = _read(part), frozenset(words)
    return Needs(*read, way, found) if read is not None and "" not in found else None


def _read(part: Part) -> tuple[int, bool] | None:
    if part.slot is not None:
        return part.slot, False
    return (part.lowers, True) if part.lowers is not None else None


def opposite(asks: Asks | None) -> Asks | None:
    """Return the question that holds where this one does not."""
    if asks is None:
        return None
    holds = asks.holds
    return Asks(asks.slot, asks.lowered, lambda text: not holds(text))


def both(asked: Sequence[Asks | None], *, deciding: bool) -> Asks | None:
    """Return one question out of several about the same text; None where they are about more.

    `deciding`: the answer that decides the whole: yes for an `or`, no for an `and`.
    """
    known = [one for one in asked if one is not None]
    if len(known) < len(asked) or len({(one.slot, one.lowered) for one in known}) != 1:
        return None
    questions = tuple(one.holds for one in known)
    if len(questions) == 2:
        return Asks(known[0].slot, known[0].lowered, _pair(*questions, deciding=deciding))

    def holds(text: str) -> bool:
        for question in questions:
            if question(text) is deciding:
                return deciding
        return not deciding

    return Asks(known[0].slot, known[0].lowered, holds)


def _pair(first: Holds, second: Holds, *, deciding: bool) -> Holds:
    """Return the joint of two: nearly every one is of two, and a loop costs as much as both."""
    if deciding:
        return lambda text: first(text) or second(text)
    return lambda text: first(text) and second(text)


def split(
    asks: Asks | None, asked: Sequence[Asks | None], common: Sequence[object], *, deciding: bool
) -> Asks | None:
    """Return a question out of several in two parts, where rules have one of them in common.

    `common`: of each of the several what it says, or None where no other rule says it.
    """
    place = next((place for place, key in enumerate(common) if key is not None), None)
    if asks is None or place is None or len(asked) < 2:
        return asks
    one, rest = asked[place], both([*asked[:place], *asked[place + 1 :]], deciding=deciding)
    if one is None or rest is None:
        return asks
    return replace(asks, split=Split(deciding, common[place], one.holds, rest.holds))


def left_over(slots: Slots, place: int, parts: Split) -> int:
    """Return the slot of the texts that the common part of a question leaves open."""
    common, deciding = parts.common, parts.deciding

    def texts(env: Env) -> Value:
        held = cast("tuple[str, ...] | None", env[place])
        return None if held is None else tuple(x for x in held if common(x) is not deciding)

    return slots.derived(("left over", place, deciding, parts.key), texts)


def any_of(needed: Sequence[Needs | None]) -> Needs | None:
    """Return what is needed where one of several is enough; None where that is not one thing."""
    known = [one for one in needed if one is not None]
    if len(known) < len(needed) or len({replace(one, words=frozenset()) for one in known}) != 1:
        return None
    return replace(known[0], words=frozenset[str]().union(*(one.words for one in known)))


def texts_of(slots: Slots, slot: int, *, lowered: bool, listed: bool = True) -> int:
    """Return the slot of the texts in a slot; None stands there where it holds anything else.

    Also for a text too long to be matched, and for a list too long to be looked at.
    """

    def texts(env: Env) -> Value:
        held = env[slot]
        items = held if listed else [held]
        if not isinstance(items, list) or len(cast("list[Value]", items)) > STEPS:
            return None
        for item in cast("list[Value]", items):
            if item.__class__ is not str or len(cast("str", item)) > LONGEST_MATCHED:
                return None
        found = cast("list[str]", items)
        return tuple(text.lower() for text in found) if lowered else tuple(found)

    return slots.derived(("texts", slot, lowered, listed), texts)


def words_of(slots: Slots, slot: int) -> int:
    """Return the slot of a list's texts and numbers as a set; None where it holds anything else."""
    return slots.derived(("words", slot), lambda env: as_words(env[slot]))


def as_words(items: Value) -> frozenset[Value] | None:
    """Return the texts and numbers of a list as a set; null is never found in one.

    Equality of texts and of finite decimals is that of the language; that of anything else is not.
    """
    if not isinstance(items, list):
        return None
    found = [item for item in cast("list[Value]", items) if item is not None]
    return frozenset(found) if all(item.__class__ in PLAIN for item in found) else None
