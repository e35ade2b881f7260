"""The support check: whether each statement of a draft rests on the evidence."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from staid.domain.outcome import Citation
from staid.domain.passage import Passage
from staid.domain.text import sentences, stem, terms, words
from staid.grounding.entity import Entity, names
from staid.grounding.facts import Known, facts, known, unmarked
from staid.grounding.negation import clauses, opposed

THRESHOLD = 0.5
"""Least support of a whole draft that carries no hard finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in a statement that the evidence does not back."""

    name: str
    """Stable: `number`, `amount`, `date`, `url`, `email`, `negation`, `named`; soft: `name`, `words`."""
    text: str
    """The words of the draft it is about."""
    hard: bool
    """A hard finding blocks; a soft one only lowers support."""
    message: str
    """Plain words for the story and for the model's revision."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence-level assertion of a draft, and what backs it."""

    text: str
    start: int
    end: int
    support: float
    """0..1: share of what it says that the evidence says, too."""
    findings: tuple[Finding, ...]
    citation: Citation | None
    """The closest sentence of a passage, verbatim; None where a tool result is closer or none is."""


@dataclass(frozen=True, slots=True)
class Support:
    """The verdict on a draft, statement by statement."""

    statements: tuple[Statement, ...]
    score: float
    """0..1 over the whole draft; 0 for a draft that asserts nothing."""

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
        """Tell whether the draft may be released: it asserts something, nothing blocks, score holds."""
        return bool(self.statements) and not self.blocked and self.score >= threshold


def check(
    draft: str,
    question: str,
    evidence: Sequence[Passage],
    extra: Sequence[str] = (),
    entities: Sequence[Entity] = (),
) -> Support:
    """Check a draft against vetted passages and tool results, statement by statement.

    Unvetted passages are ignored. `entities` are what `entity.named` found in the question: each
    has to be named by a cited passage.
    """
    ground = _Ground(question, [p for p in evidence if p.vetted], extra)
    checked = [s for start, end in sentences(draft) if (s := ground.statement(draft, start, end))]
    missing = ground.unnamed(checked, entities)
    if missing and checked:
        first = checked[0]
        checked[0] = Statement(
            first.text,
            first.start,
            first.end,
            first.support,
            (*first.findings, *missing),
            first.citation,
        )
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
    """Everything a draft may rest on, cut and counted once."""

    def __init__(self, question: str, evidence: Sequence[Passage], extra: Sequence[str]) -> None:
        texts = [f"{p.title}\n{p.section}\n{p.text}" for p in evidence] + list(extra)
        self.known: Known = known(texts)
        self.terms = frozenset(t for text in texts for t in terms(text)) | frozenset(
            terms(question)
        )
        self.bigrams = frozenset(b for text in [*texts, question] for b in _bigrams(terms(text)))
        self.words = frozenset(stem(w) for text in [*texts, question] for w in words(text))
        self.sentences = [*_cut(evidence), *_cut_extra(extra)]
        self.clauses = [c for s in self.sentences for c in clauses(s.text)]

    def statement(self, draft: str, start: int, end: int) -> Statement | None:
        """Return the checked statement, or None for what asserts nothing: a question, a heading."""
        text = draft[start:end]
        said = terms(unmarked(text))
        if not said or text.rstrip().endswith("?"):
            return None
        closest = self._closest(frozenset(said))
        findings = [*self._hard(text), *self._soft(text, said)]
        citation = _cite(closest, text)
        return Statement(text, start, end, self._support(said), tuple(findings), citation)

    def unnamed(self, checked: Iterable[Statement], entities: Sequence[Entity]) -> list[Finding]:
        """Return a finding for each name of the question that no cited passage carries."""
        cited = {s.citation.chunk for s in checked if s.citation}
        passages = {s.passage for s in self.sentences if s.passage and s.passage.chunk in cited}
        return [
            Finding(
                "named",
                e.text,
                hard=True,
                message=f"the question names {e.text}; what is cited does not",
            )
            for e in entities
            if not any(names(p, [e]) for p in passages)
        ]

    def _support(self, said: Sequence[str]) -> float:
        pairs = _bigrams(said)
        single = sum(t in self.terms for t in said) / len(said)
        double = sum(b in self.bigrams for b in pairs) / len(pairs) if pairs else single
        return round(0.5 * single + 0.5 * double, 6)

    def _hard(
        self, text: str, said: frozenset[str], closest: _Sentence | None
    ) -> Iterable[Finding]:
        for fact in facts(text):
            if not self.known.backs(fact):
                message = f"{fact.text!r} is not in the evidence"
                yield Finding(fact.kind, fact.text, hard=True, message=message)
        against = self._flipped(text)
        if against is not None:
            message = f"says the opposite of: {against}"
            yield Finding("negation", text, hard=True, message=message)

    def _flipped(self, text: str) -> str | None:
        """Return the evidence that says the opposite of a clause of the statement, if there is."""
        for clause in clauses(unmarked(text)):
            if against := opposed(clause, self.clauses):
                return against
        return None

    def _soft(self, text: str, said: Sequence[str]) -> Iterable[Finding]:
        for match in _CAPITALISED.finditer(unmarked(text)):
            if not {stem(w) for w in words(match.group())} <= self.words:
                message = f"{match.group()} is not named in the evidence"
                yield Finding("name", match.group(), hard=False, message=message)
        foreign = [t for t in said if t not in self.terms]
        if foreign:
            told = ", ".join(dict.fromkeys(foreign))
            yield Finding(
                "words", told, hard=False, message=f"words that the evidence does not use: {told}"
            )

    def _closest(self, said: frozenset[str]) -> _Sentence | None:
        best = max(self.sentences, key=lambda s: _overlap(said, s.terms), default=None)
        return best if best and said & best.terms else None


def _overlap(said: frozenset[str], other: frozenset[str]) -> float:
    shared = len(said & other)
    return shared / math.sqrt(len(said) * len(other)) if shared else 0.0


def _bigrams(sequence: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(sequence, sequence[1:], strict=False))


def _cut(evidence: Sequence[Passage]) -> Iterable[_Sentence]:
    for passage in evidence:
        for start, end in sentences(passage.text):
            text = passage.text[start:end]
            yield _Sentence(frozenset(terms(text)), text, passage, start, end)


def _cut_extra(extra: Sequence[str]) -> Iterable[_Sentence]:
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
