"""A real knowledge base through the real corpus and the real search."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, select

from staid.domain.document import Source
from staid.domain.ports import Embedder, Query
from staid.knowledge.acl_file import AclFile
from staid.knowledge.connectors import folder, rows
from staid.knowledge.embed.minilm import MiniLM
from staid.knowledge.index.embedded import EmbeddedIndex
from staid.knowledge.ingest import Ingestor, IngestReport
from staid.store.corpus import SqlCorpus
from staid.store.engine import Store
from staid.store.tables import chunk, document, metadata
from staid.testing.embedder import HashingEmbedder

KB = Source("kb")


class World:
    """A store, its corpus, and search over it."""

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self.store = Store(f"sqlite:///{path}/staid.db")
        metadata.create_all(self.store.engine)
        self.corpus = SqlCorpus(self.store)
        self.embedder = embedder
        self.ingestor = Ingestor(self.corpus, embedder)
        self.index = EmbeddedIndex(self.store, embedder.id, embedder.dimension)

    def found(self, text: str, *tokens: str) -> Sequence[str]:
        """Return the documents that a search finds, best first."""
        query = Query(text, self.embedder.embed(text), frozenset(tokens))
        return [p.document for p in self.index.search(query).passages]


@pytest.fixture
def banking() -> Path:
    """Find the knowledge base, or skip with a reason."""
    data = os.environ.get("STAID_DATA")
    if not data:
        pytest.skip("STAID_DATA is not set")
    return Path(data) / "tau2_banking_kb.jsonl.gz"


def families(path: Path, changed: str = "") -> AclFile:
    """Label each family of documents for a group of its own; one family may be changed."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        names = sorted({json.loads(line)["family"] for line in file})
    label = {name: f"group:{name if name != changed else 'nobody-yet'}" for name in names}
    text = "".join(f'"{name}_*": [["{label[name]}"]]\n' for name in names)
    return AclFile.parse(text, Path("acl.yaml"))


@pytest.mark.data
def test_banking_knowledge_base(banking: Path, tmp_path: Path) -> None:
    """Every document stands under its family's label; nothing is embedded twice; labels move."""
    world = World(tmp_path, HashingEmbedder(64))

    def ingest(acl: AclFile) -> IngestReport:
        return world.ingestor.ingest(
            KB, rows.read(banking, KB, {"text": "content"}, acl), full=True
        )

    first = ingest(families(banking))
    with gzip.open(banking, "rt", encoding="utf-8") as file:
        expected = {row["id"]: row["family"] for row in map(json.loads, file)}
    assert (first.documents, first.skipped, first.nobody) == (len(expected), (), 0)
    assert first.embedded <= first.chunks
    stored = {d.id: d.label for d in world.corpus.documents()}
    assert {name: set(label.allow[0]) for name, label in stored.items()} == {
        name: {f"group:{family}"} for name, family in expected.items()
    }

    second = ingest(families(banking))
    assert (second.embedded, second.unchanged, second.position) == (
        0,
        len(expected),
        first.position,
    )

    family = expected[next(iter(expected))]
    mine = world.found("monthly fee of the account", f"group:{family}")
    assert mine
    assert {expected[name] for name in mine} == {family}
    third = ingest(families(banking, changed=family))
    assert third.embedded == 0
    assert world.found("monthly fee of the account", f"group:{family}") == []
    assert world.found("monthly fee of the account", "group:nobody-yet") == mine


@pytest.mark.data
def test_real_embedder_finds_by_meaning(banking: Path, tmp_path: Path) -> None:
    """A few real documents through the real model: the one asked for comes first."""
    with gzip.open(banking, "rb") as file:
        some = b"".join(line for _, line in zip(range(12), file, strict=False))
    (tmp_path / "some.jsonl").write_bytes(some)
    acl = AclFile.parse('"**": [[public]]', Path("acl.yaml"))
    world = World(tmp_path, MiniLM())
    for embedded in (True, False):
        items = rows.read(tmp_path / "some.jsonl", KB, {"text": "content"}, acl)
        report = world.ingestor.ingest(KB, items, full=True)
        assert bool(report.embedded) is embedded
    title = json.loads(some.splitlines()[4])["title"]
    wanted = json.loads(some.splitlines()[4])["id"]
    assert world.found(f"Tell me about: {title}", "public")[0] == wanted


def test_folder_to_search(tmp_path: Path) -> None:
    """A folder with an acl file: each asker finds what it allows, and changes hold at once."""
    root = tmp_path / "knowledge"
    (root / "finance").mkdir(parents=True)
    (root / "help.md").write_text("# Refunds\nRefunds are paid within 14 days.")
    (root / "finance" / "plan.html").write_text("<h1>Plan</h1><p>We will acquire Globex.</p>")
    (root / "scan.md").write_bytes(b"\x00")
    acl = root / "acl.yaml"
    acl.write_text('"finance/**": [["group:finance"]]\n"**": [["public"]]\n')
    world = World(tmp_path, HashingEmbedder(64))

    def ingest() -> IngestReport:
        return world.ingestor.ingest(KB, folder.read(root, KB, AclFile.read(acl)), full=True)

    report = ingest()
    assert (report.documents, [s.id for s in report.skipped]) == (2, ["scan.md"])
    assert world.found("acquire Globex", "public") == ["help.md"]
    assert world.found("acquire Globex", "public", "group:finance")[0] == "finance/plan.html"
    acl.write_text('"**": []\n')
    assert ingest().nobody == 2
    assert world.found("refunds", "public", "group:finance") == []
    (root / "help.md").unlink()
    assert ingest().removed == 1


_KILLED = """
import os, signal, sys
from pathlib import Path
from staid.domain.document import Source
from staid.knowledge import ingest
from staid.knowledge.connectors import rows
from staid.store.corpus import SqlCorpus
from staid.store.engine import Store
from staid.testing.embedder import HashingEmbedder

class Deadly(HashingEmbedder):
    left = int(sys.argv[2])
    def embed(self, text):
        Deadly.left -= 1
        if Deadly.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(text)

ingest.BATCH_CHUNKS = 8
folder = Path(sys.argv[1])
ingestor = ingest.Ingestor(SqlCorpus(Store(f"sqlite:///{folder}/staid.db")), Deadly(64))
ingestor.ingest(Source("kb"), rows.read(folder / "rows.jsonl", Source("kb")), full=True)
"""


def test_killed_ingest_is_finished_by_the_next(tmp_path: Path) -> None:
    """SIGKILL in the middle leaves whole documents only; the next ingest embeds just the rest."""
    world = World(tmp_path, HashingEmbedder(64))
    text = "A sentence about fees and limits of the plan. " * 40
    items = [{"id": f"d{n:02}", "text": f"{n} {text} {n}", "acl": [["public"]]} for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, items)))
    command = [sys.executable, "-c", _KILLED, str(tmp_path), "30"]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL

    def whole(name: str) -> int:
        with world.store.read() as connection:
            chunks = select(func.count()).select_from(chunk).join(document)
            return connection.execute(chunks.where(document.c.id == name)).scalar_one()

    stored = world.corpus.versions("kb")
    assert 0 < len(stored) < 20
    assert {whole(name) for name in stored} == {whole("d00")}
    report = world.ingestor.ingest(KB, rows.read(tmp_path / "rows.jsonl", KB), full=True)
    assert (report.documents, report.unchanged) == (20, len(stored))
    assert report.embedded < report.chunks
    assert {whole(f"d{n:02}") for n in range(20)} == {whole("d00")}
