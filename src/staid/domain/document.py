"""Where knowledge came from, its immutable versions, and the stored units of the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from staid.domain.canonical import Json, digest
from staid.domain.ids import ChunkId, DocumentId
from staid.domain.label import Label


@dataclass(frozen=True, slots=True)
class Source:
    """Where documents come from, and whether their content is vetted."""

    name: str
    vetted: bool = True
    """Unvetted sources are searchable but never ground an answer."""
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document under one heading path."""

    path: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """One document as read from its source, ready to be cut into chunks."""

    source: Source
    id: DocumentId
    title: str
    sections: tuple[Section, ...]
    label: Label
    metadata: Mapping[str, Json] = field(default_factory=dict[str, Json])

    @property
    def version(self) -> str:
        """The hash of title and content: labels and metadata never make a new version."""
        return digest(
            {"title": self.title, "sections": [[list(s.path), s.text] for s in self.sections]}
        )


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored unit of the index: never straddles two documents, so never two labels."""

    id: ChunkId
    ordinal: int
    section: str
    """The heading path, joined with ` > `; empty at the top of a document."""
    text: str

    @staticmethod
    def identify(source: str, document: str, version: str, ordinal: int) -> ChunkId:
        """Return the content-derived id: 32 hex digits, the same wherever the chunk is made."""
        return ChunkId(digest([source, document, version, ordinal])[:32])


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """A chunk with its embedding, on its way into the corpus."""

    chunk: Chunk
    vector: bytes
    """Little-endian float32, unit norm, as many as the embedder's dimension."""
    terms: Mapping[str, int]
    """Term -> count over title, section and text, by `staid.domain.text.terms`."""
    text_hash: str
    """Hash of what was embedded: equal text is never embedded twice."""
