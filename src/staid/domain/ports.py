"""The ports through which rooms reach the outside; adapters implement them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from staid.domain.canonical import Json
from staid.domain.document import Document, IndexedChunk
from staid.domain.label import Label
from staid.domain.message import ModelRequest, ModelResponse
from staid.domain.passage import Retrieval
from staid.domain.principal import Principal


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """Return the present, aware, in UTC."""
        ...


class ModelClient(Protocol):
    """A model behind one request and one response."""

    @property
    def name(self) -> str:
        """The model's name as configured."""
        ...

    async def generate(self, request: ModelRequest) -> ModelResponse:
        """Return the model's next message; raise `ModelUnavailable` when there is none."""
        ...


class Embedder(Protocol):
    """Text to unit vectors. A text's vector never depends on what else is embedded with it."""

    @property
    def id(self) -> str:
        """Names model and weights; stored with every corpus and calibration."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, text: str) -> bytes:
        """Return the unit vector as little-endian float32 bytes; safe to call from many threads."""
        ...


class Directory(Protocol):
    """Who exists, and which groups they belong to."""

    def resolve(self, token: str) -> Principal:
        """Return the principal with its closure of groups, as of now.

        Raises `AskerMalformed`, `AskerUnknown`, `AskerDisabled`. `token` is `user:ada`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Query:
    """One search: the words, their vector, and whose view it runs over."""

    text: str
    vector: bytes
    tokens: frozenset[str]
    """The asker's tokens; mandatory, empty returns nothing, there is no wildcard."""
    agent_tokens: frozenset[str] | None = None
    """The agent's `may_read`; None leaves the asker's rights alone. Both must permit."""
    k: int = 10
    vetted: bool = False
    """Whether the view is narrowed to vetted documents: what an answer may rest on."""


class Index(Protocol):
    """Permission-aware search. Nothing outside the asker's view changes anything in the answer."""

    def search(self, query: Query) -> Retrieval:
        """Return the best passages of the view, ranked; reads every committed change first."""
        ...


@dataclass(frozen=True, slots=True)
class CorpusChange:
    """A document with its chunks, to be stored whole or not at all."""

    document: Document
    chunks: tuple[IndexedChunk, ...] | None
    """None where this version is already stored: then only label, title and metadata apply."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What the corpus knows of a document without its text."""

    source: str
    id: str
    version: str
    title: str
    label: Label
    vetted: bool
    metadata: Mapping[str, Json]


class Corpus(Protocol):
    """The stored documents, chunks and labels: the truth that every index reads."""

    def apply(self, changes: Sequence[CorpusChange], embedder: str) -> int:
        """Store all changes in one transaction and return the position of the change log."""
        ...

    def remove(self, source: str, ids: Iterable[str]) -> int:
        """Remove documents with all their chunks; return the position of the change log."""
        ...

    def relabel(self, source: str, document: str, label: Label) -> int:
        """Give a document another label; holds on the next query of every process."""
        ...

    def versions(self, source: str) -> Mapping[str, str]:
        """Return document id -> stored version for one source."""
        ...

    def find(self, document: str) -> StoredDocument:
        """Return one document by `id` or `source/id`.

        Raises `DocumentNotFound`, `DocumentAmbiguous`.
        """
        ...

    def documents(self) -> Sequence[StoredDocument]:
        """Return every document, by source and id."""
        ...

    def vectors(self, hashes: Iterable[str]) -> Mapping[str, bytes]:
        """Return text hash -> vector for those texts that are already embedded."""
        ...

    def embedder(self) -> str | None:
        """Return the id of the embedder the corpus was made with; None while it is empty."""
        ...

    def position(self) -> int:
        """Return the number of the last change."""
        ...
