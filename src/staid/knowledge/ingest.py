"""Documents into the corpus: whole or not at all, and nothing embedded twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from staid.domain.canonical import digest
from staid.domain.document import Chunk, Document, IndexedChunk, Source
from staid.domain.errors import EmbedderBroken, EmbedderMismatch
from staid.domain.label import Label
from staid.domain.ports import Corpus, CorpusChange, Embedder
from staid.domain.text import terms
from staid.knowledge.chunk import cut, embedded_text
from staid.knowledge.skipped import Skipped

BATCH_CHUNKS = 128
"""New chunks of one transaction: about a second of embedding, which is what a kill can cost."""
BATCH_DOCUMENTS = 200
THREADS = 2
_FLOAT = 4


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest has come; every document counted here is stored."""

    documents: int
    chunks: int
    embedded: int
    skipped: int


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one ingest did."""

    documents: int
    """Read and stored, changed or not."""
    chunks: int
    """Of those documents."""
    embedded: int
    """Texts that went through the model; the others were embedded before."""
    unchanged: int
    """Documents whose content was already stored; label and metadata were applied all the same."""
    removed: int
    """Documents that their source no longer has."""
    skipped: tuple[Skipped, ...]
    position: int
    nobody: int
    """Documents that nobody may see."""
    kept: tuple[str, ...] = ()
    """Stored documents that this reading did not meet, and that were not removed because part of
    the source could not be read: they may be in that part."""
    stale: tuple[str, ...] = ()
    """Skipped documents of which an earlier version stays indexed."""


@dataclass(slots=True)
class _Tally:
    documents: int = 0
    chunks: int = 0
    embedded: int = 0
    unchanged: int = 0
    seen: set[str] = field(default_factory=set[str])
    labels: dict[str, Label] = field(default_factory=dict[str, Label])
    """Of the documents stored in this ingest."""
    skipped: list[Skipped] = field(default_factory=list[Skipped])


@dataclass(frozen=True, slots=True)
class _Ready:
    """A document cut into chunks; `new` where its content is not stored yet."""

    document: Document
    chunks: tuple[Chunk, ...]
    new: bool


@dataclass(frozen=True, slots=True)
class _Part:
    chunk: Chunk
    text: str
    """What is embedded and counted: title, section and text."""
    text_hash: str


class Ingestor:
    """Takes documents in. A kill at any moment leaves whole documents; running again finishes."""

    def __init__(self, corpus: Corpus, embedder: Embedder) -> None:
        """Touch nothing yet."""
        self._corpus = corpus
        self._embedder = embedder

    def ingest(
        self,
        source: Source,
        documents: Iterable[Document | Skipped],
        *,
        full: bool,
        progress: Callable[[Progress], None] | None = None,
        rebuild: bool = False,
        keep_labels: bool = False,
    ) -> IngestReport:
        """Store the documents of a source and report what was done.

        `full`: the documents are all that the source has; others of it are removed at the end,
        unless a part of the source could not be read. `rebuild`: store and embed everything anew.
        `keep_labels`: the source states no rights, so stored documents keep theirs.
        A skipped document that was indexed before stays in its old version, under its present
        label. Raises `EmbedderMismatch` where the corpus was made with another embedder.
        """
        with ThreadPoolExecutor(THREADS, thread_name_prefix="embed") as pool:
            work = _Work(self._corpus, self._embedder, source, pool, progress or _silent)
            work.begin(rebuild=rebuild, keep_labels=keep_labels)
            for item in documents:
                work.take(item)
            return work.finish(full=full)


def _silent(_: Progress) -> None:
    """Report to nobody."""


class _Work:
    """One ingest: what is stored already, the batch in hand, and the tally."""

    def __init__(
        self,
        corpus: Corpus,
        embedder: Embedder,
        source: Source,
        pool: ThreadPoolExecutor,
        progress: Callable[[Progress], None],
    ) -> None:
        self._corpus = corpus
        self._embedder = embedder
        self._source = source.name
        self._pool = pool
        self._progress = progress
        self._rebuild = False
        self._kept_labels: dict[str, Label] | None = None
        self._stored: Mapping[str, str] = {}
        self._batch: list[_Ready] = []
        self._tally = _Tally()

    def begin(self, *, rebuild: bool, keep_labels: bool) -> None:
        """Look at what is stored, before anything of the source is read."""
        self._rebuild = rebuild
        self._stored = self._corpus.versions(self._source)
        if keep_labels:
            mine = (d for d in self._corpus.documents() if d.source == self._source)
            self._kept_labels = {d.id: d.label for d in mine}
        found = self._corpus.embedder()
        if found not in {None, self._embedder.id}:
            self._make_room(str(found))

    def take(self, item: Document | Skipped) -> None:
        """Take one document in, or note that it cannot be."""
        if isinstance(item, Document) and item.id in self._tally.seen:
            item = Skipped(item.id, "its id was used already", label=item.label)
        if isinstance(item, Skipped):
            self._skip(item)
            return
        if self._kept_labels:
            item = replace(item, label=self._kept_labels.get(item.id, item.label))
        new = self._rebuild or self._stored.get(item.id) != item.version
        self._batch.append(_Ready(item, cut(item), new=new))
        self._tally.seen.add(item.id)
        fresh = sum(len(ready.chunks) for ready in self._batch if ready.new)
        if fresh >= BATCH_CHUNKS or len(self._batch) >= BATCH_DOCUMENTS:
            self._store()

    def finish(self, *, full: bool) -> IngestReport:
        """Store the rest, remove what the source no longer has, and report."""
        self._store()
        tally = self._tally
        skipped = {item.id for item in tally.skipped if item.known}
        gone = sorted(set(self._stored) - tally.seen - skipped) if full else []
        # A part that could not be read may hold any of them.
        kept = gone if not all(item.known for item in tally.skipped) else []
        removed = [] if kept else gone
        if removed:
            self._corpus.remove(self._source, removed)
        return IngestReport(
            documents=tally.documents,
            chunks=tally.chunks,
            embedded=tally.embedded,
            unchanged=tally.unchanged,
            removed=len(removed),
            skipped=tuple(tally.skipped),
            position=self._corpus.position(),
            nobody=sum(not label.allow for label in tally.labels.values()),
            kept=tuple(kept),
            stale=tuple(sorted(skipped & set(self._stored) - tally.seen)),
        )

    def _make_room(self, found: str) -> None:
        """Drop the source's old vectors on a rebuild with another embedder; never mix two."""
        others = any(d.source != self._source for d in self._corpus.documents())
        if not self._rebuild or others:
            raise EmbedderMismatch(found=found, wanted=self._embedder.id)
        self._corpus.remove(self._source, sorted(self._stored))

    def _skip(self, item: Skipped) -> None:
        self._tally.skipped.append(item)
        if not item.known or item.label is None or self._kept_labels is not None:
            return
        if item.id in self._tally.labels or item.id in self._stored:
            self._corpus.relabel(self._source, item.id, item.label)
        if item.id in self._tally.seen:
            self._tally.labels[item.id] = item.label
            self._batch = [_under(ready, item) for ready in self._batch]

    def _store(self) -> None:
        """Embed what is new in the batch and commit the batch in one transaction."""
        batch, tally = self._batch, self._tally
        if batch:
            indexed = self._indexed([ready for ready in batch if ready.new])
            changes = [CorpusChange(r.document, indexed.get(r.document.id)) for r in batch]
            self._corpus.apply(changes, self._embedder.id)
        tally.documents += len(batch)
        tally.chunks += sum(len(ready.chunks) for ready in batch)
        tally.unchanged += sum(not ready.new for ready in batch)
        tally.labels.update({ready.document.id: ready.document.label for ready in batch})
        self._batch = []
        done = Progress(tally.documents, tally.chunks, tally.embedded, len(tally.skipped))
        self._progress(done)

    def _indexed(self, batch: Sequence[_Ready]) -> dict[str, tuple[IndexedChunk, ...]]:
        parts = {
            ready.document.id: [self._part(ready.document.title, chunk) for chunk in ready.chunks]
            for ready in batch
        }
        vectors = self._vectors({p.text_hash: p.text for some in parts.values() for p in some})
        return {
            document: tuple(
                IndexedChunk(p.chunk, vectors[p.text_hash], Counter(terms(p.text)), p.text_hash)
                for p in some
            )
            for document, some in parts.items()
        }

    def _part(self, title: str, chunk: Chunk) -> _Part:
        text = embedded_text(title, chunk.section, chunk.text)
        return _Part(chunk, text, digest([self._embedder.id, text]))

    def _vectors(self, texts: Mapping[str, str]) -> dict[str, bytes]:
        """Return the vector of every text by its hash; only those not stored yet are computed."""
        vectors = {} if self._rebuild else dict(self._corpus.vectors(texts))
        missing = [text_hash for text_hash in texts if text_hash not in vectors]
        computed = self._pool.map(self._embedder.embed, [texts[h] for h in missing])
        for text_hash, vector in zip(missing, computed, strict=True):
            if len(vector) != self._embedder.dimension * _FLOAT:
                name, size = self._embedder.id, self._embedder.dimension
                raise EmbedderBroken(detail=f"{name} gave {len(vector)} bytes for {size} numbers")
            vectors[text_hash] = vector
        self._tally.embedded += len(missing)
        return vectors


def _under(ready: _Ready, item: Skipped) -> _Ready:
    if ready.document.id != item.id or item.label is None:
        return ready
    return replace(ready, document=replace(ready.document, label=item.label))
