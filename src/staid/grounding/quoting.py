"""Picks the sentences of the evidence that answer a question: verbatim, cited, in stable order."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from staid.domain.passage import Passage
from staid.domain.text import sentences, terms
from staid.grounding.asked import Asks, asks, offers

MOST = 3
"""Stretches quoted at most; a list's lead-in with its items is one."""
LONGEST_LIST = 12
"""Items quoted of one list at most."""
ENOUGH = 0.8
"""A further sentence is quoted when it scores so large a part of the best one."""
PREFIX = 5
"""Terms that share so many first letters are one word family."""

Kind: TypeAlias = Literal["heading", "question", "lead", "item", "plain"]

_HEADING = re.compile(r"#{1,6}\s")
_ITEM = re.compile(r"(?:[-*•+–]|\(?(?:\d{1,3}|[A-Za-z])[.)])\s|\|")


@dataclass(frozen=True, slots=True)
class Quote:
    """A verbatim stretch of a passage."""

    passage: Passage
    start: int
    end: int

    @property
    def text(self) -> str:
        """The words as they stand in the passage."""
        return self.passage.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence, heading, list item or table row, with the words that stand over it."""

    place: int
    """Position of its passage in the evidence."""
    order: int
    """Position in its passage."""
    start: int
    end: int
    kind: Kind
    text: str
    terms: frozenset[str]
    over: frozenset[str]
    """Terms of the headings, question or lead-in above it."""
    beside: frozenset[str]
    """Terms of the sentences before and after it."""


def quote(question: str, evidence: Sequence[Passage], most: int = MOST) -> tuple[Quote, ...]:
    """Return the stretches that answer best, in the order they are to be read.

    Nothing without evidence. A heading or a question of the text is never quoted as an answer; what
    stands below it is. A list that answers is quoted with its lead-in.
    """
    units = [unit for place, passage in enumerate(evidence) for unit in _units(place, passage)]
    answering = [unit for unit in units if unit.kind not in {"heading", "question"}] or units
    if not answering:
        return ()
    kind = asks(question)
    weights = _weights(question, units)
    titles = [_families(terms(f"{p.title} {p.section}")) for p in evidence]
    scored = sorted(
        ((_score(unit, question, kind, weights, titles[unit.place]), unit) for unit in answering),
        key=lambda pair: (-pair[0], pair[1].place, pair[1].order),
    )
    chosen = _chosen(scored, most)
    spans = {span for unit in chosen for span in _stretch(unit, units, kind)}
    return tuple(Quote(evidence[place], start, end) for place, start, end in sorted(spans))


def compose(question: str, evidence: Sequence[Passage]) -> str:
    """Return the answer made of quotes alone; empty without evidence."""
    return "\n".join(each.text for each in quote(question, evidence))


def _chosen(scored: Sequence[tuple[float, _Unit]], most: int) -> list[_Unit]:
    best, first = scored[0]
    chosen = [first]
    said = set(first.terms)
    for score, unit in scored[1:]:
        if len(chosen) == most or score < ENOUGH * best:
            break
        if not unit.terms <= said:  # a second sentence has to add something
            chosen.append(unit)
            said |= unit.terms
    return chosen


def _units(place: int, passage: Passage) -> Iterator[_Unit]:
    spans = list(sentences(passage.text))
    texts = [passage.text[start:end] for start, end in spans]
    said = [frozenset(terms(text)) for text in texts]
    nothing = frozenset[str]()
    over: dict[Kind, frozenset[str]] = {}
    for order, ((start, end), text) in enumerate(zip(spans, texts, strict=True)):
        kind = _kind(text)
        over = _context(over, kind)
        yield _Unit(
            place=place,
            order=order,
            start=start,
            end=end,
            kind=kind,
            text=text,
            terms=said[order],
            over=nothing.union(*over.values()),
            beside=nothing.union(*said[max(0, order - 1) : order], *said[order + 1 : order + 2]),
        )
        if kind in {"heading", "question", "lead"}:
            over[kind] = said[order]


def _context(over: Mapping[Kind, frozenset[str]], kind: Kind) -> dict[Kind, frozenset[str]]:
    """Return what still stands over a unit of this kind."""
    ends: dict[Kind, set[Kind]] = {
        "heading": {"heading", "question", "lead"},
        "question": {"question", "lead"},
        "lead": {"lead"},
        "plain": {"lead"},
        "item": set(),
    }
    return {name: value for name, value in over.items() if name not in ends[kind]}


def _kind(text: str) -> Kind:
    bare = text.rstrip("*_ ")
    if _HEADING.match(text) or (
        bare == text[: len(bare)] and bare.startswith("**") and text.endswith("**")
    ):
        return "heading"
    if bare.endswith("?"):
        return "question"
    if _ITEM.match(text):
        return "item"
    return "lead" if bare.endswith(":") else "plain"


def _weights(question: str, units: Sequence[_Unit]) -> dict[str, float]:
    """Return term -> weight: how rare its family is among the sentences of the evidence."""
    counts = Counter(family for unit in units for family in _families(unit.terms))
    size = len(units)
    return {
        term: math.log(1 + (size + 0.5) / (counts[term[:PREFIX]] + 0.5)) for term in terms(question)
    }


def _score(
    unit: _Unit,
    question: str,
    kind: Asks,
    weights: Mapping[str, float],
    title: frozenset[str],
) -> float:
    total = sum(weights.values()) or 1.0
    inside, over, beside = _families(unit.terms), _families(unit.over), _families(unit.beside)
    found = 0.0
    for term, weight in weights.items():
        family = term[:PREFIX]
        if term in unit.terms:
            found += weight
        elif family in inside:
            found += 0.85 * weight
        elif family in over:
            found += 0.7 * weight
        elif family in title:
            found += 0.5 * weight
        elif family in beside:
            found += 0.35 * weight
    holds = offers(unit.text, kind, question)
    bonus = 0.0 if holds is None else 0.12 if holds else -0.12
    if kind == "how" and unit.kind in {"lead", "item"}:
        bonus += 0.05
    return found / total + bonus + 0.1 / (1 + unit.place)


def _families(said: frozenset[str] | Sequence[str]) -> frozenset[str]:
    return frozenset(term[:PREFIX] for term in said)


def _stretch(unit: _Unit, units: Sequence[_Unit], kind: Asks) -> Iterator[tuple[int, int, int]]:
    """Yield the span of a unit, with its whole list where the list is the answer."""
    same = [other for other in units if other.place == unit.place]
    if unit.kind == "lead":
        yield from _listed(unit, same)
    elif unit.kind == "item" and kind == "how":
        lead = _lead(unit, same)
        yield from _listed(lead or unit, same) if lead else [(unit.place, unit.start, unit.end)]
    else:
        yield unit.place, unit.start, unit.end


def _listed(lead: _Unit, same: Sequence[_Unit]) -> Iterator[tuple[int, int, int]]:
    yield lead.place, lead.start, lead.end
    following = same[lead.order + 1 :]
    items = 0
    for unit in following:
        # What goes on after an item's first sentence belongs to the item.
        if unit.kind not in {"item", "plain"} or (unit.kind == "plain" and not items):
            break
        if unit.kind == "plain" and not _inside_item(unit, same):
            break
        items += unit.kind == "item"
        if items > LONGEST_LIST:
            break
        yield unit.place, unit.start, unit.end


def _inside_item(unit: _Unit, same: Sequence[_Unit]) -> bool:
    """Tell whether a plain sentence stands on the line of the list item before it."""
    before = same[unit.order - 1]
    return before.kind in {"item", "plain"} and unit.start - before.end <= 1


def _lead(unit: _Unit, same: Sequence[_Unit]) -> _Unit | None:
    for other in reversed(same[: unit.order]):
        if other.kind == "lead":
            return other
        if other.kind in {"heading", "question"}:
            return None
    return None
