"""Documents in one line, for tests that are about rights and not about parsing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from staid.domain.canonical import digest
from staid.domain.document import Chunk, Document, IndexedChunk, Section, Source
from staid.domain.ids import DocumentId
from staid.domain.label import Label
from staid.domain.ports import CorpusChange, Embedder
from staid.domain.text import terms


def written(
    embedder: Embedder,
    name: str,
    texts: str | Sequence[str],
    label: Label,
    *,
    source: str = "help",
    vetted: bool = True,
) -> CorpusChange:
    """Return a document of one section and one chunk a text, embedded and ready to be applied."""
    parts = [texts] if isinstance(texts, str) else list(texts)
    document = Document(
        source=Source(source, vetted=vetted),
        id=DocumentId(name),
        title=name,
        sections=tuple(Section((), part) for part in parts),
        label=label,
    )
    return CorpusChange(
        document,
        tuple(
            IndexedChunk(
                Chunk(Chunk.identify(source, name, document.version, ordinal), ordinal, "", part),
                embedder.embed(part),
                Counter(terms(part)),
                digest(part),
            )
            for ordinal, part in enumerate(parts)
        ),
    )
