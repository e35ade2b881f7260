"""Finding and opening runs in a store of a million events, on SQLite and on PostgreSQL.

The store is built from one real turn, repeated with other words, documents, askers and times,
through the real journal: its chain, its contents, its projections, its seals. Then: open a run,
open a run of 10,000 events, search what was said, look up what a document touched, erase a subject.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import delete, func, insert, select

from staid.domain.events import Content, Event, EventKind, JournalRow
from staid.domain.finding import RunSearch, Suspect
from staid.domain.label import EVERYONE, Label
from staid.domain.principal import Actor, Principal
from staid.project.project import Project
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.projections import forget
from staid.store.schema import prepare
from staid.store.search import SqlSearch
from staid.testing.documents import written
from staid.testing.embedder import HashingEmbedder
from staid.testing.postgres import PostgresServer
from staid.tracing.story import tell

EVENTS = 1_000_000
LONG = 10_000
"""Events of the longest run."""
ASKERS = 500
DOCUMENTS = 2_000
WORDS = 5_000
TOGETHER = 250
"""Runs recorded in one transaction."""
REPEATS = 15
START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = """
[project]
name = "bench"
[agents.support]
model = "quote"
[grounding]
signal = "similarity"
floor = 0.0
floor_reason = "every question is answered, so that a whole turn is recorded"
"""
AIMS = {
    "open_run_ms": 50,
    "open_long_run_ms": 1000,
    "search_rare_ms": 100,
    "search_phrase_ms": 100,
    "search_common_ms": 100,
    "erase_subject_ms": 1000,
}


@dataclass(frozen=True)
class Built:
    """A store full of runs, and what to look for in it."""

    store: Store
    journal: Journal
    runs: int
    events: int
    run: str
    long_run: str
    phrase: str
    rare: str
    common: str
    document: str
    asker: str


def real_turn(folder: Path) -> list[JournalRow]:
    """Return the facts of one turn of the product, as it recorded them."""
    (folder / "staid.toml").write_text(SETTINGS, "utf-8")
    project = Project(folder)
    project.wiring.__dict__["embedder"] = HashingEmbedder()
    for number in range(4):
        text = f"Annual plans number {number} are refunded within 30 days. Write to the desk first."
        made = written(project.wiring.embedder, f"plans-{number}", text, EVERYONE)
        project.wiring.corpus.apply([made], project.wiring.embedder.id)
    asker = Principal("local", "user", "ada", frozenset())
    outcome = asyncio.run(
        project.agent_named("support").ask("Are annual plans refunded?", asker=asker)
    )
    rows = list(project.wiring.records.rows(outcome.run))
    project.close()
    if outcome.outcome != "answer":
        message = f"the turn to repeat ended in {outcome.outcome}"
        raise RuntimeError(message)
    return rows


class Author:
    """Writes runs like the real one, with words of a Zipf-like language."""

    def __init__(self, turn: Sequence[JournalRow], seed: int) -> None:
        """Repeat `turn`, seeded."""
        self._turn = turn
        self._random = random.Random(seed)
        self._vocabulary = [f"w{number:x}ord" for number in range(WORDS)]
        self._weights = [1 / (rank + 1) for rank in range(WORDS)]
        self._passages = [self.say(90) for _ in range(DOCUMENTS)]

    def say(self, count: int) -> str:
        """Return some words, the usual ones most often."""
        return " ".join(self._random.choices(self._vocabulary, self._weights, k=count))

    def events(self, number: int, asker: str, at: datetime) -> list[Event]:
        """Return the facts of one run."""
        question, answer = self.say(9), self.say(35)
        documents = self._random.sample(range(DOCUMENTS), 4)
        made: list[Event] = []
        for place, row in enumerate(self._turn):
            fact, body = dict(row.fact), dict(row.body) if row.body is not None else None
            if row.kind is EventKind.PASSAGE_KEPT:
                document = documents[place % 4]
                fact.update(document=f"document-{document}", version=f"{document % 7:064x}")
                body = {**(body or {}), "text": self._passages[document]}
            elif body is not None and "question" in body:
                body.update(question=f"{question} run{number}", asker=asker)
            elif body is not None and "text" in body:
                body.update(text=answer)
            elif body is not None and "messages" in body:
                body.update(messages=[{"role": "user", "text": question}])
            shared = row.kind in {EventKind.PASSAGE_KEPT, EventKind.PROMPT_RENDERED}
            label = EVERYONE if shared else Label.of([[asker]])
            content = Content(body, label, "" if shared else asker) if body is not None else None
            made.append(
                Event(row.kind, at + timedelta(milliseconds=place * 20), row.actor, fact, content)
            )
        return made


def build(store: Store, turn: Sequence[JournalRow], events: int, seed: int) -> Built:
    """Fill a store through the real journal, several runs in a transaction."""
    prepare(store)
    journal, author = Journal(store, b"the key of a benchmark"), Author(turn, seed)
    runs = (events - LONG) // len(turn)
    for first in range(0, runs, TOGETHER):
        with store.write(durable=False) as connection:
            for number in range(first, min(first + TOGETHER, runs)):
                run, asker = f"run_{number:026d}", f"user:p{number % ASKERS}"
                at = START + timedelta(minutes=5 * number)
                _record(connection, journal, run, asker, at, author.events(number, asker, at))
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{first + TOGETHER:,} of {runs:,} runs ")
    long_run, at = "run_long", START + timedelta(minutes=5 * runs)
    asker = "user:long"
    facts = author.events(runs, asker, at)
    middle = facts[1:-2]
    times = (LONG - len(facts)) // len(middle) + 1
    whole = [facts[0], *(middle * (times + 1))[: LONG - 3], *facts[-2:]]
    with store.write(durable=False) as connection:
        _record(connection, journal, long_run, asker, at, whole)
        if store.dialect == "postgresql":
            connection.exec_driver_sql("ANALYZE")
    chosen = f"run_{runs // 2:026d}"
    rows = journal.rows(chosen)
    said = next(row.body for row in rows if row.kind is EventKind.OUTCOME_DECIDED) or {}
    return Built(
        *(store, journal, runs + 1, runs * len(turn) + LONG, chosen, long_run),
        phrase=" ".join(str(said["text"]).split()[3:9]),
        rare=f"run{runs // 2}",
        common="w0ord",
        document="document-77",
        asker=f"user:p{(runs // 2) % ASKERS}",
    )


def _record(
    connection: Any,  # noqa: ANN401 - SQLAlchemy's
    journal: Journal,
    run: str,
    asker: str,
    at: datetime,
    events: Sequence[Event],
) -> None:
    conversation = {"id": f"cnv_{run}", "asker": asker, "agent": "support", "started_at": at}
    connection.execute(insert(tables.conversation).values(conversation))
    ended: dict[str, Any] = {"outcome": "answer", "confidence": 0.8, "ended_at": at}
    begun = {"id": run, "conversation": f"cnv_{run}", "agent": "support", "asker": asker}
    connection.execute(
        insert(tables.run).values({**begun, "state": "released", "started_at": at, **ended})
    )
    journal.append(connection, run, events)
    journal.seal(connection, run)


def timed(work: Callable[[], object], repeats: int = REPEATS) -> tuple[float, float, float]:
    """Return median and worst wall time and median CPU time of this process, in milliseconds."""
    took: list[float] = []
    worked: list[float] = []
    for _ in range(repeats):
        began, cpu = time.perf_counter(), time.process_time()
        work()
        worked.append((time.process_time() - cpu) * 1000)
        took.append((time.perf_counter() - began) * 1000)
    return median(took), max(took), median(worked)


def measure(built: Built, erase: Callable[[Built], int]) -> dict[str, Any]:
    """Return every figure of one store."""
    search, journal = SqlSearch(built.store), built.journal
    week = START + timedelta(days=60)
    document = Suspect(kind="document", name=built.document)
    model = Suspect(kind="model", name="quote", since=week, until=week + timedelta(days=1))
    works: dict[str, Callable[[], object]] = {
        "open_run_ms": lambda: tell(built.run, journal.rows(built.run)),
        "open_long_run_ms": lambda: tell(built.long_run, journal.rows(built.long_run)),
        "search_rare_ms": lambda: search.said(built.rare),
        "search_phrase_ms": lambda: search.said(built.phrase),
        "search_common_ms": lambda: search.said(built.common),
        "list_text_ms": lambda: search.runs(RunSearch(text=built.common, outcome="answer")),
        "list_asker_ms": lambda: search.runs(RunSearch(asker=built.asker)),
        "list_document_ms": lambda: search.runs(RunSearch(document=built.document)),
        "impact_document_ms": lambda: search.impact(document, limit=20),
        "impact_model_day_ms": lambda: search.impact(model, limit=20),
        "days_ms": search.ended,
    }
    if [s.run for s in search.said(built.rare)] != [built.run]:
        message = "the run was not found by its words"
        raise RuntimeError(message)
    figures: dict[str, Any] = {"events": built.events, "runs": built.runs}
    for name, work in works.items():
        figures[name], figures[f"{name}_worst"], figures[f"{name}_cpu"] = timed(work)
    began, cpu = time.perf_counter(), time.process_time()
    figures["erased_contents"] = erase(built)
    figures["erase_subject_ms_cpu"] = (time.process_time() - cpu) * 1000
    figures["erase_subject_ms"] = (time.perf_counter() - began) * 1000
    if search.said(built.rare):
        message = "what was erased is still found"
        raise RuntimeError(message)
    return figures


def erasing() -> tuple[str, Callable[[Built], int]]:
    """Return the erasure of this release, else what it would do to contents and words."""
    with suppress(ModuleNotFoundError):
        erasure: Any = import_module("staid.store.erasure")

        def whole(built: Built) -> int:
            order = erasure.Order("benchmark", Actor("human", "user:lead"), START)
            return erasure.SqlErasure(built.store, built.journal).erase(built.asker, order).contents

        return "staid.store.erasure", whole
    return "contents, words and a fact in each run", _erase


def _erase(built: Built) -> int:
    content, run = tables.content, tables.run
    with built.store.write() as connection:
        mine = select(content.c.id).where(content.c.subject == built.asker)
        ids = list(connection.execute(mine).scalars())
        forget(connection, ids)
        connection.execute(delete(content).where(content.c.subject == built.asker))
        runs = list(
            connection.execute(select(run.c.id).where(run.c.asker == built.asker)).scalars()
        )
        for each in runs:
            journal, row = tables.journal.c, tables.journal
            held = select(journal.content).select_from(row).where(journal.run == each)
            taken = sorted(set(ids) & set(connection.execute(held).scalars()))
            fact = Event(EventKind.ERASED, START, Actor("human", "user:lead"), {"contents": taken})
            built.journal.append(connection, each, [fact])
            built.journal.seal(connection, each)
    return len(ids)


def stores(folder: Path, wanted: Sequence[str]) -> Iterator[tuple[str, Store]]:
    """Yield an empty store of each engine."""
    if "sqlite" in wanted:
        store = Store(f"sqlite:///{folder}/store.db")
        yield "sqlite", store
        store.close()
    if "postgres" in wanted:
        server = PostgresServer(folder / "pg")
        try:
            with server.database() as url:
                store = Store(url)
                yield "postgres", store
                store.close()
        finally:
            server.stop()


def size_mb(store: Store) -> float:
    """Return what the store takes on the disk."""
    if store.path is not None:
        return sum(f.stat().st_size for f in store.path.parent.glob("store.db*")) / 1e6
    with store.read() as connection:
        size = connection.execute(select(func.pg_database_size(func.current_database())))
        return size.scalar_one() / 1e6


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--postgres-events", type=int, default=None)
    parser.add_argument("--engines", default="sqlite,postgres")
    given = parser.parse_args()
    seed = int(os.environ.get("STAID_SEED", "1"))
    how, erase = erasing()
    result: dict[str, Any] = {"seed": seed, "erasure": how}
    with tempfile.TemporaryDirectory(prefix="staid-bench-") as name:
        folder = Path(name)
        (folder / "turn").mkdir()
        turn = real_turn(folder / "turn")
        result["events_per_run"] = len(turn)
        for engine, store in stores(folder, given.engines.split(",")):
            events = given.events if engine == "sqlite" else given.postgres_events or given.events
            began = time.process_time()
            built = build(store, turn, events, seed)
            cpu = time.process_time() - began
            result[engine] = {
                "build_cpu_us_per_event": cpu / built.events * 1e6,
                "megabytes": size_mb(store),
                **measure(built, erase),
            }
            show(engine, result[engine])
    sys.stdout.write(json.dumps(result) + "\n")


def show(engine: str, figures: dict[str, Any]) -> None:
    """Print one engine's figures as a table."""
    print(
        f"\n{engine}: {figures['events']:,} events in {figures['runs']:,} runs, "
        f"{figures['megabytes']:,.0f} MB, built at "
        f"{figures['build_cpu_us_per_event']:.0f} µs CPU an event\n"
    )
    print(f"{'what':<22}{'median ms':>11}{'worst ms':>11}{'CPU ms':>10}{'aim':>9}")
    for name, value in figures.items():
        if name.endswith("_ms"):
            worst, cpu = figures.get(f"{name}_worst", value), figures[f"{name}_cpu"]
            aim = f"< {AIMS[name]}" if name in AIMS else ""
            print(f"{name.removesuffix('_ms'):<22}{value:>11.2f}{worst:>11.2f}{cpu:>10.2f}{aim:>9}")


if __name__ == "__main__":
    main()
