"""WordPiece tokenization of uncased BERT models, equal to the reference tokenizer's."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

from staid.domain.errors import EmbedderBroken

UNKNOWN, START, END = 100, 101, 102
"""Ids of `[UNK]`, `[CLS]` and `[SEP]` in the vocabulary."""
LONGEST_WORD = 100
"""Longer words are unknown whole, as in the reference."""

_ASCII_PIECE = re.compile(r"[0-9a-z]+|[!-/:-@\[-`{-~]")
_ASCII_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def tokenize(text: str, limit: int) -> list[int]:
    """Return at most `limit` token ids, `[CLS]` first and `[SEP]` last; the tail is cut off.

    Text that spells a special token (`[SEP]`) is ordinary text here, so nobody can write one into
    a document or a question.
    """
    ids = [START]
    for word in _words(text):
        ids.extend(_pieces(word))
        if len(ids) >= limit - 1:
            break
    return [*ids[: limit - 1], END]


def _words(text: str) -> Iterator[str]:
    if text.isascii():
        for match in _ASCII_PIECE.finditer(_ASCII_CONTROL.sub("", text).lower()):
            yield match.group()
        return
    # Line by line, so that a very long text costs no more than the part that is kept.
    for line in text.split("\n"):
        for chunk in _clean(line).split():
            yield from _split_punctuation(chunk)


def _clean(text: str) -> str:
    kept = "".join(map(_cleaned, text))
    bare = "".join(c for c in unicodedata.normalize("NFD", kept) if unicodedata.category(c) != "Mn")
    return bare.lower()


@lru_cache(maxsize=8192)
def _cleaned(character: str) -> str:
    """Return what the reference leaves of one character before accents are stripped."""
    code = ord(character)
    if character in "\t\n\r" or unicodedata.category(character) == "Zs":
        return " "
    if code == 0xFFFD or unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs"}:
        return ""
    if any(low <= code <= high for low, high in _CJK):
        return f" {character} "
    return character


def _split_punctuation(chunk: str) -> Iterator[str]:
    word = ""
    for character in chunk:
        if _punctuation(character):
            if word:
                yield word
            yield character
            word = ""
        else:
            word += character
    if word:
        yield word


@lru_cache(maxsize=8192)
def _punctuation(character: str) -> bool:
    code = ord(character)
    if code < 128:  # every ASCII symbol, $ and + included, as in BERT
        return not character.isalnum() and code > 32
    return unicodedata.category(character).startswith("P")


@lru_cache(maxsize=65536)
def _pieces(word: str) -> tuple[int, ...]:
    vocabulary = _vocabulary()
    if len(word) > LONGEST_WORD:
        return (UNKNOWN,)
    pieces: list[int] = []
    start = 0
    while start < len(word):
        found = _longest(vocabulary, word, start)
        if found is None:
            return (UNKNOWN,)
        piece, start = found
        pieces.append(piece)
    return tuple(pieces)


def _longest(vocabulary: dict[str, int], word: str, start: int) -> tuple[int, int] | None:
    prefix = "##" if start else ""
    for end in range(len(word), start, -1):
        piece = vocabulary.get(prefix + word[start:end])
        if piece is not None:
            return piece, end
    return None


@cache
def _vocabulary() -> dict[str, int]:
    path = Path(__file__).parent / "vocabulary.txt"
    try:
        raw = path.read_bytes()
        pinned = path.with_suffix(".txt.sha256").read_text("utf-8").split()[0]
    except OSError as error:
        raise EmbedderBroken(detail=f"the vocabulary cannot be read ({error.strerror})") from error
    if hashlib.sha256(raw).hexdigest() != pinned:
        raise EmbedderBroken(detail="the vocabulary differs from the pinned hash")
    return {token: number for number, token in enumerate(raw.decode().split("\n")) if token}
