"""The support check: whether each statement of a draft rests on the evidence."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from staid.domain.outcome import Citation
from staid.domain.passage import Passage
from staid.domain.text import sentences, stem, terms, words
from staid.grounding.entity import Entity, names
from staid.grounding.facts import Known, facts, known, unmarked, unnumbered
from staid.grounding.negation import SHORTEST, Clause, clauses, opposed

THRESHOLD = 0.45
"""Least support of a draft without a hard finding.

With `LEAST`, 3 in 4 faithful and 1 in 30 unfaithful answers of the development half of MTRAG's
human marks pass; `make bench-grounding` prints both.
"""
LEAST = 0.25
"""Least support of each statement of three terms or more."""
FOREIGN_NAME = 0.85
"""What a statement's support is multiplied with when it brings in a name of its own."""
TOLD = 5
"""Foreign words that a finding lists at most."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in a statement that the evidence does not back."""

    name: str
    """Stable. Hard: `number`, `amount`, `date`, `url`, `email`, `negation`, `named`.
    Soft: `name`, `words`."""
    text: str
    """The words of the draft it is about."""
    hard: bool
    """A hard finding blocks; a soft one only explains a low support."""
    message: str
    """Plain words for the story and for the model's revision."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence-level assertion of a draft, and what backs it."""

    text: str
    start: int
    end: int
    support: float
    """0..1: how much of its words and neighbouring words the evidence has, too."""
    findings: tuple[Finding, ...]
    citation: Citation | None
    """The closest sentence of a passage, verbatim; None where a tool result is closer."""


@dataclass(frozen=True, slots=True)
class Support:
    """The verdict on a draft, statement by statement."""

    statements: tuple[Statement, ...]
    score: float
    """0..1 over the whole draft, long statements weighing more; 0 where it asserts nothing."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding, in the order of the draft."""
        return tuple(finding for each in self.statements for finding in each.findings)

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The citations of all statements, each once, in the order of the draft."""
        return tuple(dict.fromkeys(s.citation for s in self.statements if s.citation))

    @property
    def blocked(self) -> bool:
        """Whether a hard finding forbids the draft."""
        return any(finding.hard for finding in self.findings)

    def supported(self, threshold: float = THRESHOLD) -> bool:
        """Tell whether it may be released: it asserts, nothing blocks, whole and parts hold."""
        if not self.statements or self.blocked or self.score < threshold:
            return False
        # One invented sentence among true ones must not ride on their average.
        return all(s.support >= LEAST for s in self.statements if len(terms(s.text)) >= SHORTEST)


def check(
    draft: str,
    evidence: Sequence[Passage],
    extra: Sequence[str] = (),
    entities: Sequence[Entity] = (),
) -> Support:
    """Check a draft against vetted passages and tool results, statement by statement.

    Unvetted passages are ignored. `extra` are results that count as evidence. `entities` are what
    `entity.named` found in the question: each has to be named by a cited passage, unless the draft
    rests on results alone. Pure and deterministic; about 1 ms for one passage and one sentence.
    """
    ground = _Ground([p for p in evidence if p.vetted], extra)
    plain = unnumbered(draft)
    spans = sentences(plain)
    checked = [s for a, b in spans if (s := ground.statement(draft[a:b], plain[a:b], a))]
    missing = ground.unnamed(checked, entities)
    if missing:
        checked[0] = replace(checked[0], findings=(*checked[0].findings, *missing))
    return Support(tuple(checked), _overall(checked))


def _overall(statements: Sequence[Statement]) -> float:
    if not statements:
        return 0.0
    weights = [max(1, len(words(s.text))) for s in statements]
    mean = sum(s.support * w for s, w in zip(statements, weights, strict=True)) / sum(weights)
    return round(mean, 6)


_CAPITALISED = re.compile(r"(?<![.!?:]\s)(?<!^)\b[A-Z][\w'’&-]+")


@dataclass(frozen=True, slots=True)
class _Sentence:
    terms: frozenset[str]
    text: str
    passage: Passage | None
    start: int
    end: int


class _Ground:
    """Everything a draft may rest on, cut and counted once, the rarer parts only when asked for."""

    def __init__(self, evidence: Sequence[Passage], extra: Sequence[str]) -> None:
        self.texts = [f"{p.title}\n{p.section}\n{p.text}" for p in evidence] + list(extra)
        # The words of the question back nothing: a model that says yes to whatever it was asked
        # would be supported by the asker's own invention.
        counted = [terms(text) for text in self.texts]
        self.terms = frozenset(term for said in counted for term in said)
        self.pairs = frozenset(pair for said in counted for pair in pairwise(said))
        self.sentences = [*_cut(evidence), *_cut_extra(extra)]

    @cached_property
    def known(self) -> Known:
        return known(self.texts)

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(stem(word) for text in self.texts for word in words(text))

    def statement(self, text: str, plain: str, start: int) -> Statement | None:
        """Return the checked statement, or None for what asserts nothing: a question, a rule."""
        said = terms(unmarked(plain))
        if not said or text.rstrip(" *_\"'”").endswith("?"):
            return None
        soft = tuple(self._soft(plain, said))
        foreign = any(finding.name == "name" for finding in soft)
        return Statement(
            text=text,
            start=start,
            end=start + len(text),
            support=round(self._support(said) * (FOREIGN_NAME if foreign else 1.0), 6),
            findings=(*self._hard(plain), *soft),
            citation=_cite(self._closest(frozenset(said)), text),
        )

    def unnamed(
        self, checked: Sequence[Statement], entities: Sequence[Entity]
    ) -> tuple[Finding, ...]:
        """Return a finding for each name of the question that no cited passage carries."""
        cited = {s.citation.chunk for s in checked if s.citation}
        passages = {
            s.passage.chunk: s.passage
            for s in self.sentences
            if s.passage and s.passage.chunk in cited
        }
        return tuple(
            Finding("named", e.text, True, f"the question names {e.text}; what is cited does not")
            for e in entities
            if passages and not any(names(p, [e]) for p in passages.values())
        )

    def _support(self, said: Sequence[str]) -> float:
        neighbours = list(pairwise(said))
        single = sum(term in self.terms for term in said) / len(said)
        if not neighbours:
            return single
        double = sum(pair in self.pairs for pair in neighbours) / len(neighbours)
        return (single + double) / 2

    def _hard(self, text: str) -> Iterator[Finding]:
        for fact in facts(text):
            if not self.known.backs(fact):
                message = f"{fact.text!r} is not in the evidence"
                yield Finding(fact.kind, fact.text, hard=True, message=message)
        against = self._against(text)
        if against is not None:
            message = f"says the opposite of: {against}"
            yield Finding("negation", text, hard=True, message=message)

    def _against(self, text: str) -> str | None:
        """Return the evidence that says the opposite of a clause of the statement, if there is."""
        for clause in clauses(unmarked(text)):
            if against := opposed(clause, self._near(clause)):
                return against
        return None

    def _near(self, clause: Clause) -> list[Clause]:
        return [
            other
            for sentence in self.sentences
            if len(sentence.terms & clause.terms) >= SHORTEST
            for other in clauses(sentence.text)
        ]

    def _soft(self, text: str, said: Sequence[str]) -> Iterator[Finding]:
        for match in _CAPITALISED.finditer(unmarked(text)):
            if not {stem(word) for word in words(match.group())} <= self.words:
                message = f"{match.group()} is not named in the evidence"
                yield Finding("name", match.group(), hard=False, message=message)
        foreign = list(dict.fromkeys(term for term in said if term not in self.terms))
        if foreign:
            told = ", ".join(foreign[:TOLD])
            message = f"words that the evidence does not use: {told}"
            yield Finding("words", told, hard=False, message=message)

    def _closest(self, said: frozenset[str]) -> _Sentence | None:
        best = max(self.sentences, key=lambda s: _overlap(said, s.terms), default=None)
        return best if best and said & best.terms else None


def _overlap(said: frozenset[str], other: frozenset[str]) -> float:
    shared = len(said & other)
    return shared / math.sqrt(len(said) * len(other)) if shared else 0.0


def _cut(evidence: Iterable[Passage]) -> Iterator[_Sentence]:
    for passage in evidence:
        for start, end in sentences(passage.text):
            text = passage.text[start:end]
            yield _Sentence(frozenset(terms(text)), text, passage, start, end)


def _cut_extra(extra: Iterable[str]) -> Iterator[_Sentence]:
    for result in extra:
        for start, end in sentences(result):
            text = result[start:end]
            yield _Sentence(frozenset(terms(text)), text, None, start, end)


def _cite(closest: _Sentence | None, statement: str) -> Citation | None:
    if closest is None or closest.passage is None:
        return None
    passage = closest.passage
    return Citation(
        document=passage.document,
        chunk=passage.chunk,
        quote=closest.text,
        statement=statement,
        version=passage.version,
        start=closest.start,
        end=closest.end,
    )
