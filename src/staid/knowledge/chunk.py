"""Documents to chunks: within one document, along its sections, small enough to embed whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from staid.domain.document import Chunk, Document, Section
from staid.knowledge.embed.wordpiece import tokenize

if TYPE_CHECKING:
    from semantic_text_splitter import TextSplitter

MAX_CHARACTERS = 900
MAX_TOKENS = 250
"""Of title, section and text together; the embedder reads 256, its two marks included."""
LEAST_TOKENS = 80
"""What is left for the text below a very long title and section path."""
SMALL = 200
"""Characters; a smaller piece is joined with its neighbour when both fit into one chunk."""
STRETCH = 16_000
"""Characters given to the splitter at once: its time grows with the square."""
JOIN = " > "


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of one section, or several small sections joined."""

    path: tuple[str, ...]
    text: str
    whole: bool
    """Whether nothing of its section lies in another piece; only such pieces are joined."""


def embedded_text(title: str, section: str, text: str) -> str:
    """Return what is embedded of a chunk: title and section give the text its context."""
    return f"{title}\n{section}\n{text}"


def cut(document: Document) -> tuple[Chunk, ...]:
    """Return the chunks of a document: the same for the same content, no word lost, in order."""
    version = document.version
    pieces = _joined(document.title, _split(document.title, document.sections))
    return tuple(
        Chunk(
            Chunk.identify(document.source.name, document.id, version, ordinal),
            ordinal,
            JOIN.join(piece.path),
            # A heading with nothing below it still says something.
            piece.text or (f"# {piece.path[-1]}" if piece.path else document.title),
        )
        for ordinal, piece in enumerate(pieces)
    )


def _split(title: str, sections: tuple[Section, ...]) -> Iterator[_Piece]:
    for section in sections:
        room = max(LEAST_TOKENS, MAX_TOKENS - tokens(f"{title} {JOIN.join(section.path)}"))
        texts = [part for stretch in _stretches(section.text) for part in _fitting(stretch, room)]
        for text in texts or [""]:
            yield _Piece(section.path, text, whole=len(texts) < 2)


def _joined(title: str, pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    """Join small neighbours; what their paths do not share stands as headings in the text."""
    last: _Piece | None = None
    for piece in pieces:
        both = _both(last, piece) if last else None
        if both and _fits(title, both):
            last = both
        else:
            if last:
                yield last
            last = piece
    if last:
        yield last


def _both(one: _Piece, other: _Piece) -> _Piece | None:
    if not (one.whole and other.whole) or min(len(one.text), len(other.text)) > SMALL:
        return None
    pairs = zip(one.path, other.path, strict=False)
    shared = tuple(name for name, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    text = f"{_headed(one, len(shared))}\n\n{_headed(other, len(shared))}"
    return _Piece(shared, text, whole=True)


def _headed(piece: _Piece, shared: int) -> str:
    """Return the text below the headings that are its own, marked as such."""
    marks = [f"{'#' * min(level, 6)} {name}" for level, name in enumerate(piece.path, 1)]
    return "\n".join((*marks[shared:], *([piece.text] if piece.text else [])))


def _fits(title: str, piece: _Piece) -> bool:
    text = embedded_text(title, JOIN.join(piece.path), piece.text)
    return len(piece.text) <= MAX_CHARACTERS and tokens(text) <= MAX_TOKENS


def tokens(text: str) -> int:
    """Return how many tokens the packaged embedder makes of a text, its two marks left out."""
    return len(tokenize(text, 1_000_000)) - 2


def _stretches(text: str) -> Iterator[str]:
    """Yield consecutive parts of bounded length, parted where it hurts least."""
    start = 0
    while len(text) - start > STRETCH:
        end = start + STRETCH
        found = (text.rfind(mark, start + STRETCH // 2, end) for mark in ("\n\n", "\n", " "))
        end = next((at for at in found if at > start), end)
        yield text[start:end]
        start = end
    yield text[start:]


def _fitting(text: str, room: int, characters: int = MAX_CHARACTERS) -> Iterator[str]:
    """Yield parts of at most `room` tokens; scripts of many tokens get shorter parts."""
    for part in _splitter(characters).chunks(text):
        found = tokens(part)
        if found <= room or characters <= 1:
            yield part
        else:
            yield from _fitting(
                part, room, max(1, min(characters // 2 + 1, len(part) * room // found))
            )


def _splitter(characters: int) -> TextSplitter:
    from semantic_text_splitter import TextSplitter

    return TextSplitter(characters)
