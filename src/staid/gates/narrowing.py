"""Which rules of many may hold for a call, told by their words without asking each of them.

A rule that needs a word is no wherever the word is not there: large policies are mostly lists of
such words. Nothing is told from anything but texts, so that what is missing is asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar, cast

from staid.gates.expression.asking import texts_of
from staid.gates.expression.parts import Env, Needs, Slots, Way

Kept = TypeVar("Kept")


class Narrowed(Generic[Kept]):
    """What needs a word, by that word; what needs none always may hold."""

    def __init__(self, slots: Slots) -> None:
        """Keep nothing yet; `slots` are those that the needs speak of."""
        self._slots = slots
        self._always: list[Kept] = []
        self._by: dict[tuple[int, Way], _ByWord[Kept]] = {}

    def add(self, one: Kept, needs: Needs | None) -> None:
        """Keep one with what it needs."""
        if needs is None:
            self._always.append(one)
            return
        place = texts_of(self._slots, needs.slot, lowered=needs.lowered, listed=needs.listed)
        self._by.setdefault((place, needs.way), _ByWord(needs.way)).add(one, needs.words)

    def candidates(self, env: Env) -> Iterator[Sequence[Kept]]:
        """Yield everything that may hold for a call, each once, and little else."""
        yield self._always
        for (place, _), words in self._by.items():
            texts = env[place]
            yield words.all if texts is None else words.about(cast("tuple[str, ...]", texts))


class _ByWord(Generic[Kept]):
    def __init__(self, way: Way) -> None:
        self.all: list[Kept] = []
        self._way = way
        self._known: dict[str, list[Kept]] = {}
        self._lengths: set[int] = set()

    def add(self, one: Kept, words: Iterable[str]) -> None:
        self.all.append(one)
        for word in words:
            self._known.setdefault(word, []).append(one)
            self._lengths.add(len(word))

    def about(self, texts: tuple[str, ...]) -> Sequence[Kept]:
        known = self._known
        found = [known[word] for text in texts for word in self._words(text) if word in known]
        if len(found) <= 1:
            return found[0] if found else ()
        return list({id(one): one for several in found for one in several}.values())

    def _words(self, text: str) -> Iterable[str]:
        """Return the words that a text could be needed for."""
        match self._way:
            case Way.IS:
                return (text,)
            case Way.STARTS:
                return [text[:length] for length in self._lengths if length <= len(text)]
            case Way.ENDS:
                return [text[-length:] for length in self._lengths if length <= len(text)]
