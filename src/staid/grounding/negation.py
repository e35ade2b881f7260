"""Whether a clause says the opposite of what the evidence says in nearly the same words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from staid.domain.text import terms, words

CLOSE = 0.75
"""Two clauses are about the same when they share so much of their terms (cosine of sets)."""
RIVAL = 0.85
"""Evidence nearly as close as the closest is heard, too: one that agrees settles it."""
SHORTEST = 3
"""Terms that two clauses have to share at least."""

NEGATORS = frozenset(
    """no not never none nobody nothing neither nor without cannot can't don't doesn't didn't won't
    isn't aren't wasn't weren't hasn't haven't hadn't shouldn't wouldn't couldn't mustn't needn't
    avoid refrain fail fails failure inability lack lacks ineligible
    unable prohibited forbidden unavailable""".split()  # noqa: SIM905 - a list of words reads as words
)
_BOUNDS = frozenset(
    """after before within beyond until unless over under above below more less than only except
    other exceed later earlier least most maximum minimum all every any some always often
    sometimes""".split()  # noqa: SIM905 - a list of words reads as words
)
"""Words that move a boundary: `not after 30 days` and `within 30 days` agree."""
_WEAK = re.compile(
    r"\b(?:not only|no (?:later|more|less|fewer|earlier|longer) than|not (?:later|more|less) than"
    r"|no matter|whether or not|not limited to|if not|not (?:always|necessarily|all|every|just|yet)"
    r"|why not|or not)\b",
    re.IGNORECASE,
)
_REPLY = re.compile(r"^\W*(?:no|yes|sorry|unfortunately)\s*[,.:;!—–-]\s*", re.IGNORECASE)
_CUT = re.compile(
    r"[,;:!?—–()]\s*|\.\s+|\s(?:but|because|which|while|although|though|if|when|unless|until"
    r"|so that|and you|and it|and they|and we|or you)\s",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Clause:
    """A stretch of a sentence with one polarity."""

    text: str
    terms: frozenset[str]
    negative: bool


def clauses(text: str) -> list[Clause]:
    """Return the clauses of a sentence that say enough to be contradicted."""
    parts = _CUT.split(_REPLY.sub("", text.replace("’", "'")))
    return [c for part in parts if len((c := _clause(part)).terms) >= SHORTEST]


def opposed(clause: Clause, evidence: Sequence[Clause]) -> str | None:
    """Return the closest evidence when all that is so close has the other polarity, else None."""
    near = [(close, other) for other in evidence if (close := _closeness(clause, other)) >= CLOSE]
    if not near:
        return None
    top = max(near, key=lambda pair: pair[0])
    rivals = [other for close, other in near if close >= RIVAL * top[0]]
    if any(other.negative == clause.negative for other in rivals):
        return None
    changed = frozenset(words(clause.text)) ^ frozenset(words(top[1].text))
    return None if changed & _BOUNDS else top[1].text.strip()


def _clause(text: str) -> Clause:
    said = frozenset(terms(text)) - NEGATORS
    bare = words(_WEAK.sub(" ", text))
    return Clause(text, said, sum(word in NEGATORS for word in bare) % 2 == 1)


def _closeness(one: Clause, other: Clause) -> float:
    shared = len(one.terms & other.terms)
    if shared < SHORTEST:
        return 0.0
    return shared / math.sqrt(len(one.terms) * len(other.terms))
