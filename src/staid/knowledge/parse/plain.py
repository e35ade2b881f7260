"""Plain text: one section, paragraphs as they are."""

from __future__ import annotations

from staid.knowledge.parse.parsed import Outline, Parsed, decode


def parse(document: str, data: bytes) -> Parsed:
    """Return the text as one section without a title; raise `DocumentUnreadable`."""
    outline = Outline(document)
    outline.write(decode(document, data))
    return outline.parsed()
