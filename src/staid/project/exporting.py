"""Emptying the outbox: each sink in its own order, each row by one exporter, until it has arrived.

What is sent is projected from the journal in the moment of sending, under ids that depend on the
journal alone: a repeat after a crash is the same spans again, never others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, cast

from staid.domain.canonical import Json
from staid.domain.errors import (
    BatchRejected,
    RunNotFound,
    SinkCannot,
    SinkNotFound,
    SinkRefused,
    SinkUnreachable,
    StaidError,
)
from staid.domain.events import EventKind, JournalRow
from staid.domain.exports import Delivery, OutboxRow, Sink, WireSpan
from staid.tracing.alias import ERASED
from staid.tracing.dialects.destination import wire
from staid.tracing.projection import project as project_run
from staid.tracing.scores import score_of
from staid.tracing.spans import trace_id

if TYPE_CHECKING:
    from staid.domain.records import RunRecord
    from staid.project.parts import Wiring
    from staid.project.project import Project

BATCH = 20
"""Rows that are claimed together."""
MOST_BATCHES = 50
"""Batches of one sink in one round, so that no sink keeps the others waiting."""
LEASE = timedelta(minutes=2)
"""How long a claim holds; an exporter that was killed loses its rows after that."""
LONGEST_WAIT = 3600.0
"""Seconds between two attempts, at most. There is no last attempt."""
PATIENCE = 6
"""Attempts at a score of a run that the receiver does not show."""
SETTLING = timedelta(seconds=2)
"""How long a receiver gets before it is asked what it holds."""
LOOKS = 8
"""Looks at a receiver before a difference is taken for one."""


@dataclass(slots=True)
class Round:
    """What one round did for one sink."""

    sink: str
    sent: int = 0
    rejected: int = 0
    skipped: int = 0
    confirmed: int = 0
    differing: int = 0
    error: str | None = None
    """Why the sink is left alone now; what waits is tried again."""
    runs: list[str] = field(default_factory=list[str])

    @property
    def moved(self) -> bool:
        """Whether anything happened."""
        return bool(self.sent or self.rejected or self.skipped or self.confirmed or self.error)


def export_once(
    project: Project,
    names: Sequence[str] | None = None,
    jitter: Callable[[], float] = random.random,
) -> list[Round]:
    """Send what is due to each sink, then read back what was sent; return what was done.

    Safe in any number of processes. Raises `SinkNotFound`; a sink that cannot be reached is told
    in its round.
    """
    wiring = project.wiring
    chosen = list(wiring.sink_names) if names is None else list(names)
    for name in chosen:
        if name not in project.settings.sinks:
            raise SinkNotFound(sink=name)
    return [_round(wiring, name, jitter) for name in chosen]


def _round(wiring: Wiring, name: str, jitter: Callable[[], float]) -> Round:
    done = Round(name)
    try:
        sink = wiring.sink(name)
        wiring.disclosure(name)
    except StaidError as error:  # a secret or a finder is missing: nothing leaves for this sink
        done.error = str(error)
        return done
    try:
        exporter = Exporter(wiring, sink, done, jitter)
        for _ in range(MOST_BATCHES):
            if not exporter.deliver_batch():
                break
        if sink.reads_back and done.error is None:
            exporter.confirm()
    finally:
        sink.close()
    return done


class _TakenOver(Exception):
    """Another exporter holds the rows, because this one took longer than its claim."""


class Exporter:
    """Brings the rows of one sink to it, in order."""

    def __init__(
        self, wiring: Wiring, sink: Sink, done: Round, jitter: Callable[[], float]
    ) -> None:
        """Send to `sink` what the project's outbox holds for it, and count in `done`."""
        self._wiring = wiring
        self._outbox = wiring.outbox
        self._sink = sink
        self._done = done
        self._jitter = jitter

    def deliver_batch(self) -> bool:
        """Deliver the rows that are due, oldest first; False when there are none or it failed."""
        now = self._wiring.clock.now()
        worker = self._wiring.worker
        rows = self._outbox.claim(self._sink.name, worker, now, now + LEASE, limit=BATCH)
        left = list(rows)
        try:
            for kind, group in groupby(rows, key=lambda row: row.kind):
                together = list(group) if kind == "run" else []
                for some in [together] if together else [[row] for row in group]:
                    self._deliver(some)
                    left = left[len(some) :]
        except (SinkUnreachable, SinkRefused) as error:
            self._postpone(left, error)
            return False
        except _TakenOver:
            return False
        return bool(rows)

    def _deliver(self, rows: Sequence[OutboxRow]) -> None:
        now = self._wiring.clock.now()
        ids = [row.id for row in rows]
        if not self._outbox.hold(ids, self._wiring.worker, now + LEASE):
            raise _TakenOver
        if rows[0].kind == "run":
            self._runs(rows)
        elif rows[0].kind == "score":
            self._score(rows[0])
        else:
            self._act(rows[0], lambda: self._sink.forget(rows[0].run))

    def _postpone(self, rows: Sequence[OutboxRow], error: SinkUnreachable | SinkRefused) -> None:
        attempts = rows[0].attempts
        wait = min(2.0**attempts, LONGEST_WAIT) * (0.5 + self._jitter() / 2)
        wait = max(wait, cast("float", error.values.get("after", 0.0)))
        next_at = self._wiring.clock.now() + timedelta(seconds=wait)
        ids = [row.id for row in rows]
        self._outbox.postpone(ids, self._wiring.worker, next_at, error.message)
        self._done.error = str(error)

    # --- runs --------------------------------------------------------------------------------

    def _runs(self, rows: Sequence[OutboxRow]) -> None:
        ready: list[tuple[OutboxRow, list[WireSpan]]] = []
        for row in rows:
            if not self._sampled(row.run):
                self._skip(row, "left out by the sample")
                continue
            try:
                ready.append((row, self._spans(row.run)))
            except RunNotFound:
                self._skip(row, "the run is not in the store any more")
            except StaidError:
                raise
            except Exception as error:  # noqa: BLE001 - one run that cannot be told must not stop the rest
                self._settle(row, "rejected", f"cannot be told: {type(error).__name__}: {error}")
        if ready:
            delivery = self._sink.send([span for _, spans in ready for span in spans])
            for row, spans in ready:
                self._arrived(row, spans, delivery)

    def _arrived(self, row: OutboxRow, spans: Sequence[WireSpan], delivery: Delivery) -> None:
        mine = {span.span for span in spans}
        rejected = [r for r in delivery.rejected if r.span in mine or not r.span]
        receipt: dict[str, Json] = {
            "spans": [span.span for span in spans],
            "rejected": [{"span": r.span, "name": r.name, "error": r.error} for r in rejected],
        }
        error = "; ".join(f"{r.name} ({r.span}): {r.error}" for r in rejected) or None
        self._settle(row, "rejected" if rejected else "sent", error, receipt)
        self._done.runs.append(row.run)

    def _spans(self, run: str) -> list[WireSpan]:
        wiring = self._wiring
        record = wiring.records.run(run)
        rows = wiring.records.rows(run)
        if not rows:
            raise RunNotFound(run=run)
        rules = wiring.disclosure(self._sink.name)
        earlier = [] if rules.passages else self._earlier(record, rows)
        trace = project_run(record, rows, rules, earlier)
        kind = wiring.settings.sinks[self._sink.name].kind
        return wire(trace, kind, wiring.sink_attributes(self._sink.name))

    def _earlier(self, record: RunRecord, rows: Sequence[JournalRow]) -> list[JournalRow]:
        """Return the facts of the turns whose answers were told to the model again."""
        asked = [row for row in rows if row.kind is EventKind.MODEL_REQUESTED and row.body]
        if not any(_user_messages(row) > 1 for row in asked):
            return []
        records = self._wiring.records
        known = records.conversation(record.conversation, record.asker)
        before = [r.run for r in known if r.run != record.run and r.started_at <= record.started_at]
        return [row for run in before for row in records.rows(run)]

    def _sampled(self, run: str) -> bool:
        share = self._wiring.settings.sinks[self._sink.name].sample
        return int(trace_id(run)[:8], 16) < share * 2**32

    # --- scores and the right to be forgotten -------------------------------------------------

    def _score(self, row: OutboxRow) -> None:
        if self._outbox.forgotten(row.sink, row.run):
            self._skip(row, ERASED)
            return
        known = self._outbox.rows(sink=row.sink, run=row.run, kind="run")
        if not known or known[0].state == "skipped":
            self._skip(row, "its run was not exported")
            return
        rows = self._wiring.records.rows(row.run)
        fact = next((r for r in rows if r.seq == row.seq), None)
        rules = self._wiring.disclosure(row.sink)
        score = score_of(row.run, fact, rules) if fact is not None else None
        if score is None:
            self._skip(row, "there is no value in it")
            return
        self._act(row, lambda: self._sink.score(score))

    def _act(self, row: OutboxRow, action: Callable[[], None]) -> None:
        try:
            action()
        except SinkCannot as error:
            self._skip(row, error.message)
        except BatchRejected as error:
            self._settle(row, "rejected", error.message)
        except SinkUnreachable as error:
            if not error.values.get("missing") or row.attempts + 1 < PATIENCE:
                raise
            self._settle(row, "rejected", error.message)  # the sink itself is well: go on
        else:
            self._settle(row, "sent")

    # --- receipts ----------------------------------------------------------------------------

    def confirm(self) -> None:
        """Read back what was sent: `confirmed` is there whole, anything else says what differs."""
        now = self._wiring.clock.now()
        for row in self._outbox.unconfirmed(self._sink.name, now - SETTLING, now, limit=BATCH):
            try:
                seen = self._sink.seen(row.run)
            except StaidError as error:
                self._done.error = str(error)
                return
            self._compare(row, seen.spans, now)

    def _compare(self, row: OutboxRow, seen: Sequence[str], now: datetime) -> None:
        wanted = cast("Sequence[str]", row.receipt["spans"])
        missing = sorted(set(wanted) - set(seen))
        looks = cast("int", row.receipt.get("looks", 0)) + 1
        receipt = {**cast("Mapping[str, Json]", row.receipt), "seen": len(seen), "looks": looks}
        if not missing:
            receipt.pop("missing", None)
            self._outbox.confirmed(row.id, receipt)
            self._done.confirmed += 1
            return
        given_up = looks >= LOOKS
        next_at = None if given_up else now + timedelta(seconds=2.0**looks)
        receipt |= {"missing": missing, "differs": given_up}
        self._outbox.differing(row.id, receipt, next_at)
        self._done.differing += given_up

    def _skip(self, row: OutboxRow, why: str) -> None:
        self._outbox.settle(row.id, "skipped", self._wiring.clock.now(), error=why)
        self._done.skipped += 1

    def _settle(
        self,
        row: OutboxRow,
        state: str,
        error: str | None = None,
        receipt: Mapping[str, Json] | None = None,
    ) -> None:
        rejected = state == "rejected"
        self._outbox.settle(
            row.id,
            "rejected" if rejected else "sent",
            self._wiring.clock.now(),
            error=error,
            receipt=receipt,
        )
        self._done.rejected += rejected
        self._done.sent += not rejected


def _user_messages(row: JournalRow) -> int:
    told = cast("Sequence[Mapping[str, Json]]", (row.body or {}).get("messages") or ())
    return sum(message.get("role") == "user" for message in told)
