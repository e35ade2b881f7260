"""What one turn costs: CPU with a model that does nothing, 10,000 chunks, 10 % of them visible.

Beside it, in the same run, the cost of importing Staid and of `staid --help`. CPU time of the
process, because machines are shared; the last line is one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from staid.domain.document import Chunk, Document, IndexedChunk, Section, Source
from staid.domain.ids import DocumentId
from staid.domain.label import Label
from staid.domain.message import ModelRequest, ModelResponse
from staid.domain.ports import CorpusChange
from staid.domain.text import terms
from staid.project.project import Project
from staid.runtime.agent import Agent
from staid.runtime.parts import AgentSpec
from staid.testing.embedder import HashingEmbedder

CHUNKS = 10_000
GROUPS = 100
TURNS = 200
WARM_UP = 30
WORDS = 90

SETTINGS = """
[project]
name = "bench"
[directory]
file = "directory.yaml"
[grounding]
signal = "similarity"
floor = 0.0
floor_reason = "every question is answered, so that a whole turn is measured"
"""


class Quiet:
    """A model that quotes the first sentence it is given and computes nothing."""

    name = "no-op"

    async def generate(self, request: ModelRequest) -> ModelResponse:
        """Return the first line of the best passage."""
        text = request.evidence[0].text.split(".")[0] + "." if request.evidence else ""
        return ModelResponse(text, (), self.name)


def corpus(project: Project, embedder: HashingEmbedder, rng: random.Random) -> list[str]:
    """Store documents of ten chunks each and return words that occur in them."""
    vocabulary = [spoken(number) for number in range(4000)]
    weights = [1 / (number + 10) for number in range(4000)]
    changes: list[CorpusChange] = []
    for number in range(CHUNKS // 10):
        name = f"d{number}"
        texts = [prose(rng, vocabulary, weights) for _ in range(10)]
        source = Source("bench")
        document = Document(
            source,
            DocumentId(name),
            name,
            tuple(Section((), t) for t in texts),
            Label.of([[f"group:g{number % GROUPS}"]]),
        )
        chunks = tuple(
            indexed(embedder, name, document.version, ordinal, text)
            for ordinal, text in enumerate(texts)
        )
        changes.append(CorpusChange(document, chunks))
    for start in range(0, len(changes), 100):
        project.wiring.corpus.apply(changes[start : start + 100], embedder.id)
    return vocabulary


def spoken(number: int) -> str:
    """Return a made-up word of three syllables, one for each number."""
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    first, rest = divmod(number, len(syllables))
    return f"{syllables[rest]}{syllables[first % len(syllables)]}{syllables[(number * 31) % 70]}"


def prose(rng: random.Random, vocabulary: list[str], weights: list[float]) -> str:
    """Return six sentences of 15 words drawn as in natural text (Zipf)."""
    drawn = rng.choices(vocabulary, weights, k=WORDS)
    return " ".join(" ".join(drawn[n : n + 15]).capitalize() + "." for n in range(0, WORDS, 15))


def indexed(
    embedder: HashingEmbedder, name: str, version: str, ordinal: int, text: str
) -> IndexedChunk:
    """Return one chunk ready for the corpus."""
    chunk = Chunk(Chunk.identify("bench", name, version, ordinal), ordinal, "", text)
    counts: dict[str, int] = {}
    for term in terms(text):
        counts[term] = counts.get(term, 0) + 1
    return IndexedChunk(chunk, embedder.embed(text), counts, f"{name}-{ordinal}".ljust(64, "0"))


async def turns(
    agent: Agent, vocabulary: list[str], rng: random.Random, groups: list[str]
) -> float:
    """Return CPU milliseconds per turn."""

    async def one() -> None:
        question = " ".join(rng.choices(vocabulary[:400], k=8)) + "?"
        await agent.ask(question, asker="user:bench", groups=groups)

    for _ in range(WARM_UP):
        await one()
    start = time.process_time()
    for _ in range(TURNS):
        await one()
    return (time.process_time() - start) / TURNS * 1000


def cpu_of(*command: str) -> float:
    """Return the median CPU milliseconds of a whole process over seven runs after one warm-up."""
    samples: list[float] = []
    for _ in range(8):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        samples.append((after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000)
    return median(samples[1:])


def measure(folder: Path) -> float:
    """Return CPU milliseconds per turn over a corpus of 10,000 chunks."""
    (folder / "staid.toml").write_text(SETTINGS)
    (folder / "directory.yaml").write_text("principals: {}\n")
    rng = random.Random(int(os.environ.get("STAID_SEED", "7")))
    project = Project(folder)
    embedder = HashingEmbedder(384)
    project.wiring.__dict__["embedder"] = embedder
    vocabulary = corpus(project, embedder, rng)
    spec = AgentSpec("bench", Quiet)
    agent = Agent(lambda: spec, lambda: project.wiring.parts, project.wiring.identify, "bench")
    groups = [f"group:g{n}" for n in range(10)]
    try:
        return asyncio.run(turns(agent, vocabulary, rng, groups))
    finally:
        project.close()


def main() -> None:
    """Print a table and, last, one JSON object."""
    with tempfile.TemporaryDirectory() as folder:
        per_turn = measure(Path(folder))
    bare = cpu_of(sys.executable, "-c", "pass")
    imported = cpu_of(sys.executable, "-c", "import staid")
    helped = cpu_of(sys.executable, "-m", "staid", "--help")
    rows = [
        (f"one turn, {CHUNKS} chunks, 10 % visible, no-op model", per_turn, "15"),
        ("import staid (whole process)", imported, "150"),
        ("staid --help (whole process)", helped, "250"),
        ("python -c pass, for comparison", bare, "-"),
    ]
    print(f"{'CPU ms':>8}  {'aim':>5}  what")
    for what, value, aim in rows:
        print(f"{value:8.1f}  {aim:>5}  {what}")
    result = {
        "cpu_ms_per_turn": round(per_turn, 2),
        "import_ms": round(imported, 1),
        "help_ms": round(helped, 1),
        "peers": {"python_pass_ms": round(bare, 1)},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
