"""Questions with known answers over real corpora, some of whose documents were left out.

Kinds: `answerable`; `near_miss` (its own paragraph was left out, the article stays); `adversarial`
(SQuAD's impossible questions, paragraph present); `absent_topic` (the whole article was left out);
`off_topic` (CLINC150 out-of-scope queries); `unanswerable` (MTRAG's own mark). Risk and coverage
count half of the traffic as answerable and share the other half among the kinds that are there.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import sys
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from staid.domain.text import terms

FOLDS = 7
"""Groups of documents (articles, families, conversations); SQuAD's half has 7 articles."""
NEGATIVES = ("near_miss", "absent_topic", "off_topic", "unanswerable")
FOLLOW_UP_TERMS = 4
"""A question of fewer terms is asked together with the one before it, as a turn does."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, what kind it is, and which documents answer it."""

    kind: str
    text: str
    gold: frozenset[str]
    group: str


@dataclass(frozen=True, slots=True)
class World:
    """A corpus as it is indexed, and the traffic that meets it."""

    name: str
    rows: tuple[tuple[str, str, str], ...]
    """Id, title, text."""
    questions: tuple[Question, ...]
    weight: float = 1.0
    """How much it counts in the fit."""


def data_folder() -> Path:
    """Return the folder of evaluation files; without one, say so and leave with status 0."""
    named = os.environ.get("STAID_DATA")
    if not named or not Path(named).is_dir():
        print("STAID_DATA names no folder of evaluation files: nothing was measured.")
        print("Set it to a folder with squad2.jsonl.gz, mtrag_un.jsonl.gz and the others.")
        sys.exit(0)
    return Path(named)


def load(name: str) -> list[dict[str, Any]]:
    """Return the rows of one evaluation file."""
    with gzip.open(data_folder() / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def file_hash(name: str) -> str:
    """Return the SHA-256 of one evaluation file as it lies on the disk."""
    return hashlib.sha256((data_folder() / f"{name}.jsonl.gz").read_bytes()).hexdigest()


def off_topic(count: int, seed: int) -> list[Question]:
    """Return out-of-scope queries, in a random order of its own."""
    texts = sorted(row["text"] for row in load("clinc150") if not row["in_scope"])
    chosen = random.Random(seed).sample(texts, min(count, len(texts)))
    return [Question("off_topic", text, frozenset(), f"off:{text}") for text in chosen]


def squad(
    seed: int, *, articles: int | None = None, near: float = 0.2, titles: bool = True
) -> World:
    """Return SQuAD paragraphs with a share of them, and one whole article, left out."""
    rows = load("squad2")
    rng = random.Random(seed)
    docs = sorted({row["doc"] for row in rows})
    kept = rng.sample(docs, articles) if articles else docs
    gone = rng.choice(sorted(kept))
    indexed: list[tuple[str, str, str]] = []
    questions: list[Question] = []
    for row in rows:
        if row["doc"] not in kept:
            continue
        left_out = rng.random() < near
        kind = "absent_topic" if row["doc"] == gone else "near_miss" if left_out else "answerable"
        name = f"{row['doc']}/{row['para']}"
        if kind == "answerable":
            indexed.append((name, row["title"] if titles else "", row["context"]))
        for each in row["questions"]:
            if each["answerable"]:
                questions.append(Question(kind, each["q"], frozenset({name}), row["doc"]))
            elif kind == "answerable":
                questions.append(Question("adversarial", each["q"], frozenset(), row["doc"]))
    questions += off_topic(300, seed)
    return World(f"squad/{seed}", tuple(indexed), tuple(questions))


def mtrag(seed: int, *, near: float = 0.0) -> World:
    """Return MTRAG-UN's contexts as a corpus; `near` leaves out those of a share of the tasks.

    No off-topic queries: this corpus holds answers to some of them.
    """
    tasks = load("mtrag_un")
    rng = random.Random(seed)
    contexts = {c["id"]: c for task in tasks for c in task["contexts"]}
    answerable = [task for task in tasks if task["answerability"] == "ANSWERABLE"]
    dropped = rng.sample(answerable, int(near * len(answerable)))
    gone = {c["id"] for task in dropped for c in task["contexts"]}
    questions: list[Question] = []
    for task in tasks:
        gold = frozenset(c["id"] for c in task["contexts"]) - gone
        kind = task["answerability"].lower()
        if kind == "answerable" and not gold:
            kind = "near_miss"
        group = str(task["id"]).split("<", 1)[0]
        questions.append(Question(kind, _last_turn(task["turns"]), gold, group))
    rows = [(name, c.get("title") or "", c["text"]) for name, c in contexts.items()]
    kept = tuple(row for row in rows if row[0] not in gone)
    return World(f"mtrag/{seed}", kept, tuple(questions))


def _last_turn(turns: Sequence[Sequence[str]]) -> str:
    asked = [text for role, text in turns if role == "user"]
    if len(asked) > 1 and len(terms(asked[-1])) < FOLLOW_UP_TERMS:
        return f"{asked[-2]} {asked[-1]}"
    return asked[-1]


def banking(seed: int, *, by: str = "family", share: float = 0.36) -> World:
    """Return the banking knowledge base without a share of its families (or single documents)."""
    rows = load("tau2_banking_kb")
    rng = random.Random(seed)
    units = sorted({row["family" if by == "family" else "id"] for row in rows})
    gone = set(rng.sample(units, int(share * len(units))))
    indexed: list[tuple[str, str, str]] = []
    questions: list[Question] = []
    for row in rows:
        left_out = row["family" if by == "family" else "id"] in gone
        kind = "near_miss" if left_out else "answerable"
        if not left_out:
            indexed.append((row["id"], row["title"], row["content"]))
        questions.append(Question(kind, row["title"], frozenset({row["id"]}), row["family"]))
    questions += off_topic(200, 2000 + seed)
    return World(f"banking-{by}/{seed}", tuple(indexed), tuple(questions))


def beside(world: World, filler: World, seed: int) -> World:
    """Return a world in a larger corpus; its off-topic queries go, the filler may answer them."""
    kept = tuple(q for q in world.questions if q.kind != "off_topic")
    rows = (*world.rows, *filler.rows)
    return replace(world, name=f"{world.name}+filler/{seed}", rows=rows, questions=kept)


def lowered(world: World) -> World:
    """Return the same traffic as people type it: no capitals, no question mark."""
    plain = tuple(replace(q, text=q.text.lower().rstrip("?")) for q in world.questions)
    return replace(world, name=f"{world.name}, lower case", questions=plain)


def training(seed: int = 0) -> list[World]:
    """Return the worlds of the fit: small and large corpora, each kind of source."""
    whole = mtrag(seed)
    return [
        *(squad(seed + n) for n in range(3)),
        squad(seed + 3, articles=3),
        squad(seed + 4, articles=4, titles=False),
        beside(squad(seed + 5), whole, seed),
        lowered(squad(seed + 6)),
        whole,
        *(replace(mtrag(seed + n, near=0.3), weight=0.5) for n in (1, 2)),
        *(replace(banking(seed + n), weight=0.5) for n in range(2)),
        *(replace(banking(seed + n, by="document"), weight=0.5) for n in range(2)),
    ]


def fold(group: str) -> int:
    """Return the fold of a group of documents, the same in every world."""
    articles = {"a": int(group[1:])} if group[:1] == "a" and group[1:].isdigit() else {}
    return articles.get("a", zlib.crc32(group.encode())) % FOLDS


def shares(world: World, adversarial: float = 0.0) -> list[float]:
    """Return each question's share of the traffic: half answerable, the kinds of the rest equal.

    `adversarial` is taken from the unanswerable half; other kinds count nothing.
    """
    counts = Counter(question.kind for question in world.questions)
    present = [kind for kind in NEGATIVES if counts[kind]]
    apart = adversarial if counts["adversarial"] else 0.0
    share: Mapping[str, float] = {
        "answerable": 0.5 / max(1, counts["answerable"]),
        "adversarial": apart / max(1, counts["adversarial"]),
        **{kind: (0.5 - apart) / len(present) / counts[kind] for kind in present},
    }
    return [share.get(question.kind, 0.0) for question in world.questions]
