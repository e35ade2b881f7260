"""The entity rule: the product, plan or policy named in the question must be the one cited.

No score decides this: two look-alike products share nearly every word. A name is recognised by its
form (capitalised words before a generic noun, or before a colon). In a question in lower case it is
recognised where a passage capitalises it, or where a word of it occurs nowhere in the asker's view.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from staid.domain.passage import Passage, Signals
from staid.domain.text import STOPWORDS, stem, words

GENERIC = frozenset(
    """account accounts card cards plan plans policy policies package packages tier tiers edition
    editions membership memberships subscription subscriptions program programs programme programmes
    loan loans mortgage mortgages insurance bundle bundles licence license licences licenses
    warranty warranties model models vault saver certificate contract contracts agreement""".split()  # noqa: SIM905 - a list of words reads as words
)
"""Nouns that a product's name stands before."""
CATEGORY = frozenset(
    """credit debit bank banking business personal savings saving checking current joint gift
    prepaid annual monthly yearly weekly customer company user users return refund privacy
    cancellation shipping new old my other another this that same existing health life car home
    travel rewards reward virtual physical replacement service support data referral loyalty partner
    affiliate access security cookie""".split()  # noqa: SIM905 - a list of words reads as words
)
"""Words that say which sort of card or plan it is; alone they name none."""
NOT_NAMES = frozenset({"faq", "troubleshooting", "overview", "note", "re", "question", "help"})
LONGEST = 5
"""Words of a name at most."""

_TOKEN = re.compile(r"[^\W_]+(?:['’&][^\W_]+)*|[():;,.!?—–]")
_LEAD = re.compile(r"^\s*([^:—–?!.,]{2,50}?)\s*(?::\s|\s[—–]\s)")


@dataclass(frozen=True, slots=True)
class Entity:
    """A name in the question that a cited passage has to carry."""

    text: str
    """As the question writes it."""
    run: tuple[str, ...]
    """Stems of its words, to be found one after the other."""
    beside: frozenset[str] = frozenset()
    """Stems of what the question adds in brackets: `Green Account (savings)`."""
    sure: bool = True
    """False for words in lower case: a name only where a passage writes it as one."""


def named(question: str, signals: Signals) -> tuple[Entity, ...]:
    """Return the names of products, plans and policies in a question, each once, in order."""
    tokens = _TOKEN.findall(question)
    nowhere = _absent(signals)
    found: dict[tuple[str, ...], Entity] = {}
    for place, token in enumerate(tokens):
        if token.lower() in GENERIC:
            entity = _capitalised(tokens, place) or _plain(tokens, place, nowhere)
            if entity:
                found.setdefault(entity.run, entity)
    lead = _LEAD.match(question)
    if lead and (entity := _leading(lead.group(1))):
        found.setdefault(entity.run, entity)
    return tuple(found.values())


def names(passage: Passage, entities: Sequence[Entity]) -> bool:
    """Tell whether title, section or text carries at least one of the names; none asked: yes."""
    asked = [entity for entity in entities if entity.sure]
    return not asked or any(closeness(passage, entity) for entity in asked)


def closeness(passage: Passage, entity: Entity) -> int:
    """Return 2 where the passage carries this very name, 1 only inside a longer one, 0 nowhere.

    `Gold Card` lies inside `Business Gold Card` (1); `Gold Plus Card` is another name (0).
    """
    return _closeness(f"{passage.title}\n{passage.section}\n{passage.text}", entity)


def nearest(passages: Sequence[Passage], entities: Sequence[Entity]) -> tuple[Passage, ...]:
    """Return the passages that carry a name of the question, in order; none asked: all of them.

    Where one carries the very name, those that carry it only inside a longer one are left out.
    Where a name is carried by none, nothing is returned: half of a comparison is no answer.
    """
    kept: set[str] = set()
    asked = False
    for entity in entities:
        found = {p.chunk: closeness(p, entity) for p in passages}
        best = max(found.values(), default=0)
        if entity.sure and not best:
            return ()
        asked = asked or best > 0
        kept |= {chunk for chunk, value in found.items() if value == best > 0}
    return tuple(p for p in passages if p.chunk in kept) if asked else tuple(passages)


def _absent(signals: Signals) -> frozenset[str]:
    """Return the words of the question that occur nowhere in the view."""
    least = math.log(1 + (signals.view + 0.5) / 0.5) - 1e-4
    return frozenset(term for term, weight in signals.idf if weight >= least)


def _capitalised(tokens: Sequence[str], place: int) -> Entity | None:
    """Return the capitalised name that ends right before the generic noun at `place`."""
    start = place
    while start and place - start < LONGEST and _part_of_name(tokens, start - 1):
        start -= 1
    run = tokens[start:place]
    if not run or all(word.lower() in CATEGORY for word in run):
        return None
    beside: frozenset[str] = frozenset()
    if tokens[place + 1 : place + 2] == ["("] and tokens[place + 3 : place + 4] == [")"]:
        beside = frozenset({stem(tokens[place + 2].lower())})
    return Entity(" ".join([*run, tokens[place]]), _stems(run), beside)


def _plain(tokens: Sequence[str], place: int, nowhere: frozenset[str]) -> Entity | None:
    """Return the words in lower case right before the generic noun, where they may be a name."""
    start = place
    while start and place - start < LONGEST and _part_of_plain_name(tokens[start - 1]):
        start -= 1
    run = _stems(tokens[start:place])
    if not run:
        return None
    text = " ".join(tokens[start : place + 1])
    return Entity(text, run, sure=bool(nowhere & set(run)))


def _part_of_plain_name(word: str) -> bool:
    known = STOPWORDS | GENERIC | CATEGORY
    return word[0].isalnum() and word.islower() and word not in known


def _part_of_name(tokens: Sequence[str], place: int) -> bool:
    word = tokens[place]
    first = place == 0 or tokens[place - 1] in ".!?:;—–("
    if not word[0].isupper() or word.lower() in STOPWORDS or word.lower() in GENERIC:
        return False
    # The first word of a sentence is capitalised anyway: it counts only before another one.
    return not first or tokens[place + 1][0].isupper()


def _leading(text: str) -> Entity | None:
    run = [token for token in _TOKEN.findall(text) if token[0].isalnum()]
    while run and run[-1].lower() in GENERIC:
        run = run[:-1]
    capitals = all(word[0].isupper() or word[0].isdigit() for word in run)
    plain = {word.lower() for word in run}
    if not run or len(run) > LONGEST or not capitals or plain <= CATEGORY | NOT_NAMES:
        return None
    return None if plain & (STOPWORDS | NOT_NAMES | GENERIC) else Entity(text, _stems(run))


def _stems(run: Sequence[str]) -> tuple[str, ...]:
    return tuple(stem(word) for token in run for word in words(token))


@lru_cache(maxsize=4096)
def _closeness(text: str, entity: Entity) -> int:
    tokens = _TOKEN.findall(text)
    stems = [stem(words(t)[0]) if t[0].isalnum() else t for t in tokens]
    if not entity.beside <= set(stems):
        return 0
    size = len(entity.run)
    best = 0
    for place in range(len(stems) - size + 1):
        same = tuple(stems[place : place + size]) == entity.run
        if same and (entity.sure or _written_as_name(tokens, place, place + size)):
            best = max(best, _fit(tokens, place, place + size))
    return best


def _written_as_name(tokens: Sequence[str], start: int, end: int) -> bool:
    """Tell whether a passage writes these words as a name: in capitals, two or before a noun."""
    capitals = all(token[0].isupper() for token in tokens[start:end])
    following = tokens[end].lower() if end < len(tokens) else ""
    return capitals and (end - start > 1 or following in GENERIC)


def _fit(tokens: Sequence[str], start: int, end: int) -> int:
    after = tokens[end] if end < len(tokens) else ""
    if after[:1].isupper() and after.lower() not in GENERIC | STOPWORDS | CATEGORY:
        return 0
    before = tokens[start - 1] if start else ""
    return 1 if before[:1].isupper() and before.lower() not in STOPWORDS else 2
