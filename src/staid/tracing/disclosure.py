"""What of a run may leave for one sink: by the sink's label for passages, by its level for words.

A receiver shows every trace to every member of a project, whatever the documents' labels say. So a
passage's text leaves only where the sink is declared to hold its label, and so does everything that
was written with such a passage in view: an answer can quote it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, TypeAlias, cast

from staid.domain.canonical import Json, canonical
from staid.domain.events import EventKind, JournalRow
from staid.domain.label import EVERYONE, Label
from staid.domain.principal import PUBLIC

Level: TypeAlias = Literal["full", "masked", "none"]
Redactor: TypeAlias = Callable[[Json], Json]
Alias: TypeAlias = Callable[[str], str]

WITHHELD = "(withheld: this sink does not hold the labels of what it rests on)"
NOT_EXPORTED = "(not exported: content = none)"
ERASED = "(erased)"

LONGEST_TEXT = 32_000
"""Characters of one text that leave; the rest is told by length and hash."""
LONGEST_VALUE = 96_000
"""Characters of one value's JSON that leave."""
_MARGIN = 1_000
"""Read past the cut while redacting, so that no half of a number escapes its pattern."""


def _as_it_is(value: Json) -> Json:
    return value


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One sink's rules. Fails closed: what no rule lets out stays."""

    level: Level = "none"
    label: Label | None = None
    """Who reads the sink: every reader satisfies every clause. None holds no passage at all."""
    passages: bool = False
    """Whether the operator let every passage out, whatever its label, and said why."""
    redact: Redactor = _as_it_is
    """Applied to every word that leaves at level `masked`."""
    alias: Alias = _as_it_is  # type: ignore[assignment]
    """Stands in for a person's token unless the level is `full`."""

    def holds(self, label: Label) -> bool:
        """Return whether everybody who reads the sink may read what bears this label."""
        if self.passages:
            return True
        return self.label is not None and implies(self.label, label)

    def words(self, value: Json) -> Json:
        """Return what a person or a model said, as this sink may have it."""
        if value is None or value == "":
            return value
        if self.level == "none":
            return NOT_EXPORTED
        return shorten(value, self.redact if self.level == "masked" else _as_it_is)

    def person(self, token: str) -> str:
        """Return the name under which a principal goes out."""
        return token if self.level == "full" else self.alias(token)


def implies(readers: Label, label: Label) -> bool:
    """Return whether whoever satisfies `readers` is permitted by `label`.

    Both are conjunctions of clauses: each clause of `label` has to contain a whole clause of
    `readers`, or `public`; and whom `label` denies, `readers` must deny as well.
    """
    if not label.allow or not label.deny <= readers.deny:
        return False
    return all(
        PUBLIC in clause or any(known <= clause for known in readers.allow)
        for clause in label.allow
    )


@dataclass(frozen=True, slots=True)
class View:
    """One run as one sink may see it."""

    rules: Disclosure
    asker: str
    tainted: bool
    """Whether the run had a passage in view that the sink does not hold."""

    @classmethod
    def of(cls, rules: Disclosure, asker: str, rows: Sequence[JournalRow]) -> View:
        """Look at what the run had in view. Public passages taint nothing; erased ones do."""
        kept = [row for row in rows if row.kind is EventKind.PASSAGE_KEPT]
        tainted = any(not _open(rules, row) for row in kept)
        return cls(rules, asker, tainted)

    def said(self, value: Json) -> Json:
        """Return what the asker said, or what is nobody's secret: by level alone."""
        return self.rules.words(value)

    def derived(self, row: JournalRow, value: Json) -> Json:
        """Return what was written with passages in view: only if the sink holds all of them."""
        if row.content is not None and row.body is None:
            return ERASED
        if value is None or value == "":
            return value
        if not self.rules.passages and (self.tainted or not self._holds_but_asker(row.label)):
            return WITHHELD
        return self.rules.words(value)

    def passage(self, row: JournalRow, value: Json) -> Json:
        """Return a passage's own text: only if the sink is declared to hold its label."""
        return self.rules.words(value) if row.body and self.rules.holds(row.label) else None

    def _holds_but_asker(self, label: Label) -> bool:
        """Leave the asker's own clause out: the asker is whom the run is exported about."""
        rest = [clause for clause in label.allow if clause != frozenset({self.asker})]
        if not label.allow:
            return False
        readers = self.rules.label or EVERYONE
        return not rest or implies(readers, Label.of(rest, label.deny))


def _open(rules: Disclosure, row: JournalRow) -> bool:
    """Return whether what was written with this passage in view may leave."""
    if row.body is None and row.content is not None:
        return rules.passages
    return rules.holds(row.label) or implies(EVERYONE, row.label)


# --- length ----------------------------------------------------------------------------------


def shorten(value: Json, redact: Redactor = _as_it_is) -> Json:
    """Return a value with every text, and the whole, within bounds; what was cut says so.

    Valid JSON stays valid JSON. The length and SHA-256 of the original come with the cut.
    """
    told = redact(_texts(value, redact))
    whole = canonical(told)
    if len(whole) <= LONGEST_VALUE:
        return told
    start = whole[:LONGEST_TEXT]
    return {"truncated": True, "characters": len(whole), "sha256": _hash(whole), "start": start}


def _texts(value: Json, redact: Redactor) -> Json:
    if isinstance(value, str):
        return _cut(value, redact)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Json]", value).items()
        return {key: _texts(item, redact) for key, item in items}
    if isinstance(value, Sequence):
        return [_texts(item, redact) for item in value]
    return value


def _cut(text: str, redact: Redactor) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    start = str(redact(text[: LONGEST_TEXT + _MARGIN]))[:LONGEST_TEXT]
    return f"{start}… (truncated: {len(text)} characters, sha256 {_hash(text)})"


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
