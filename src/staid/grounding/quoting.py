"""Picks the sentences of the evidence that answer a question: verbatim, cited, in stable order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from staid.domain.passage import Passage
from staid.domain.text import sentences, terms

MOST = 3
"""Sentences quoted at most; a list's lead-in and its items count as one."""


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


def quote(question: str, evidence: Sequence[Passage], most: int = MOST) -> tuple[Quote, ...]:
    """Return the stretches that answer best, in the order they are to be read; none without evidence."""
    asked = set(terms(question))
    scored: list[tuple[float, int, int, int, Passage]] = []
    for place, passage in enumerate(evidence):
        for start, end in sentences(passage.text):
            shared = len(asked & set(terms(passage.text[start:end])))
            scored.append((-shared / (1 + 0.3 * place), place, start, end, passage))
    scored.sort(key=lambda row: row[:4])
    best = [row for row in scored[:1] if row[0] < 0] or scored[:1]
    return tuple(Quote(passage, start, end) for _, _, start, end, passage in best[:most])


def compose(question: str, evidence: Sequence[Passage]) -> str:
    """Return the answer made of quotes alone; empty without evidence."""
    return "\n".join(each.text for each in quote(question, evidence))
