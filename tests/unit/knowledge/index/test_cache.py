"""The cache file saves time and decides nothing: damaged, stale or foreign, it is passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from staid.domain.label import EVERYONE, NOBODY, Label
from staid.domain.passage import Retrieval
from staid.domain.ports import Query
from staid.knowledge.index import cache as cache_module
from staid.knowledge.index import rows
from staid.knowledge.index.cache import Cache
from staid.knowledge.index.embedded import EmbeddedIndex
from staid.store.corpus import SqlCorpus
from staid.store.engine import Store
from staid.store.tables import metadata
from staid.testing.documents import written
from staid.testing.embedder import HashingEmbedder

EMBEDDER = HashingEmbedder()
SIZE = 80
Reader = Callable[..., Sequence[object]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Give a store with enough documents that a cache file is worth writing."""
    opened = Store(f"sqlite:///{tmp_path}/staid.db")
    metadata.create_all(opened.engine)
    items = [written(EMBEDDER, f"d{n}", f"alpha word{n}", EVERYONE) for n in range(SIZE)]
    SqlCorpus(opened).apply(items, EMBEDDER.id)
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the path of the cache file."""
    return tmp_path / "below" / "index.npz"


class Counted:
    """Counts the chunks whose terms and vectors were read from the store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Watch every function that reads them."""
        self.chunks = 0
        for name in ("scored", "scored_by_id", "scored_by_document"):
            monkeypatch.setattr(rows, name, self._watched(getattr(rows, name)))

    def _watched(self, read: Reader) -> Reader:
        def watched(*args: object) -> Sequence[object]:
            found = read(*args)
            self.chunks += len(found)
            return found

        return watched


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Give the count of chunks read from the store."""
    return Counted(monkeypatch)


def search(store: Store, file: Path | None, words: str = "alpha word7", k: int = 5) -> Retrieval:
    """Search as a process that has just started."""
    index = EmbeddedIndex(store, EMBEDDER.id, EMBEDDER.dimension, file)
    return index.search(Query(words, EMBEDDER.embed(words), frozenset({"public"}), None, k))


def test_a_second_start_reads_nothing_again(store: Store, file: Path, read: Counted) -> None:
    """With a good file only ids and rights are read from the store; the answer is the same."""
    first = search(store, file)
    assert (read.chunks, file.exists()) == (SIZE, True)
    assert search(store, file) == first
    assert read.chunks == SIZE
    assert not list(file.parent.glob("*.part"))


@pytest.mark.parametrize("harm", ["empty", "cut", "flipped", "text", "folder"])
def test_a_damaged_file_is_rebuilt(store: Store, file: Path, read: Counted, harm: str) -> None:
    """Whatever happened to the file, the answer is right and, where possible, the file new."""
    first = search(store, file)
    whole = file.read_bytes()
    file.unlink()
    if harm == "folder":
        file.mkdir()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        harmed = {"empty": b"", "cut": whole[:middle], "flipped": flipped, "text": b"hello"}
        file.write_bytes(harmed[harm])
    assert search(store, file) == first
    assert read.chunks == 2 * SIZE
    if harm != "folder":
        assert search(store, file) == first
        assert read.chunks == 2 * SIZE


def test_a_stale_file_gives_only_what_still_stands(store: Store, file: Path, read: Counted) -> None:
    """Documents changed, relabelled and removed after the file was written show as they are now."""
    search(store, file)
    read.chunks = 0
    corpus = SqlCorpus(store)
    corpus.apply([written(EMBEDDER, "d7", "alpha word7 anew", EVERYONE)], EMBEDDER.id)
    corpus.apply([written(EMBEDDER, "d8", "alpha word7 hidden", NOBODY)], EMBEDDER.id)
    corpus.relabel("help", "d9", Label.of([["group:x"]]))
    corpus.remove("help", ["d10"])
    found = search(store, file, k=SIZE)
    assert found == search(store, None, k=SIZE)
    assert found.signals.view == SIZE - 3
    assert found.passages[0].text == "alpha word7 anew"
    assert read.chunks == 2 + (SIZE - 1)  # two from the store with the file, all without it


def test_a_file_gives_way_to_newer_terms_and_other_cuts(
    store: Store, file: Path, tmp_path: Path
) -> None:
    """A text analysed anew, or a document cut otherwise, is not answered from the old file."""
    search(store, file)
    item = written(EMBEDDER, "d7", "alpha word7", EVERYONE)
    anew = [replace(c, terms={"alpha": 1, "omega": 1}) for c in item.chunks or ()]
    SqlCorpus(store).apply([replace(item, chunks=tuple(anew))], EMBEDDER.id)
    found = search(store, file, "omega")
    assert found == search(store, None, "omega")
    assert found.signals.bm25[0] > 0
    other = Store(f"sqlite:///{tmp_path}/other.db")
    metadata.create_all(other.engine)
    items = [written(EMBEDDER, f"d{n}", f"alpha word{n}", EVERYONE) for n in range(SIZE + 5)]
    recut = [replace(c, text_hash="f" * 64, vector=EMBEDDER.embed("beta")) for c in anew]
    items[7] = replace(item, chunks=tuple(recut))
    SqlCorpus(other).apply(items, EMBEDDER.id)
    assert search(other, file, "beta") == search(other, None, "beta")
    other.close()


def test_a_file_of_another_embedder_or_store_is_not_used(
    store: Store, file: Path, tmp_path: Path, read: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model, another version of the index, or a position ahead of the store: rebuilt."""
    first = search(store, file)
    segment, position = Cache(file, EMBEDDER.id, EMBEDDER.dimension).load(10**6) or (None, 0)
    assert (segment is not None, position) == (True, SIZE)
    assert Cache(file, "other", EMBEDDER.dimension).load(10**6) is None
    assert Cache(file, EMBEDDER.id, 8).load(10**6) is None
    assert Cache(file, EMBEDDER.id, EMBEDDER.dimension).load(position - 1) is None
    other = Store(f"sqlite:///{tmp_path}/other.db")
    metadata.create_all(other.engine)
    items = [written(EMBEDDER, f"d{n}", f"beta word{n}", EVERYONE) for n in range(SIZE)]
    SqlCorpus(other).apply(items, EMBEDDER.id)
    assert search(other, file) == search(other, None)
    other.close()
    assert search(store, file) == first
    monkeypatch.setattr(cache_module, "INDEX_VERSION", "next")
    assert Cache(file, EMBEDDER.id, EMBEDDER.dimension).load(10**6) is None


def test_a_file_cannot_grant_rights(store: Store, file: Path) -> None:
    """A file written while everything was public shows nothing once everything is revoked."""
    search(store, file)
    corpus = SqlCorpus(store)
    for number in range(SIZE):
        corpus.relabel("help", f"d{number}", NOBODY)
    found = search(store, file)
    assert (found.passages, found.signals.view, found.withheld) == ((), 0, 0)
