"""Adversarial trials around a refund: kills, retries, races, double decisions, tampered rows.

`python benchmarks/prove_effects.py --trials 1000 --via all`, or `make prove-effects TRIALS=1000`.
Each trial is drawn from its seed, is played by several processes, some of which die by SIGKILL, and
is checked against a file that the handler appends to: what the outside world saw. The seed of a
trial that fails is printed; `--only SEED` repeats it alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast, get_args

from sqlalchemy import select, update

from effects_evidence import PAGE, Portion, add, code
from staid.domain.call import CallRecord, call_digest
from staid.domain.canonical import canonical
from staid.domain.events import EventKind
from staid.domain.ids import RunId
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger.rows import LedgerRows
from staid.testing.frameworks import DRIVERS
from staid.testing.kill import (
    KEY,
    POINTS,
    UNKNOWN,
    Broken,
    EffectFile,
    Job,
    Probe,
    Report,
    Role,
    settled_truthfully,
    tell_probe,
)
from staid.testing.zygote import Zygote, zygote

BATCH = 24
"""Trials whose processes run side by side, on one store."""
PER_STORE = 480
"""Trials on one store before its journal is verified and a fresh one is taken."""
TAMPERINGS = ("arguments", "digest", "approval", "severity", "revive", "forged")
PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Trial:
    """One drawn story of one call."""

    seed: int
    point: str
    asynchronous: bool
    amount: str
    racers: tuple[tuple[Role, str], ...]
    """Roles and kill points of the processes that run at once after the first."""
    tampering: str
    """What is changed in the store between approval and execution; empty: nothing."""
    recoveries: int
    probe: Probe
    """How the system behind the tool answers when it is asked what became of a call."""

    @classmethod
    def draw(cls, seed: int) -> Trial:
        """Draw a trial from its seed alone."""
        chance = random.Random(seed)
        roles: tuple[Role, ...] = ("execute", "execute", "approve", "deny", "recover")
        later = (*POINTS[2:], "", "", "")
        racers: list[tuple[Role, str]] = [
            (chance.choice(roles), chance.choice(later)) for _ in range(chance.choice((0, 1, 2, 3)))
        ]
        return cls(
            seed=seed,
            point=chance.choice((*POINTS, "")),
            asynchronous=chance.random() < 0.5,
            amount=chance.choice(("150", "150.50", "499.99", "50")),
            racers=tuple(racers),
            tampering=chance.choice(("", "", "", *TAMPERINGS)),
            recoveries=chance.choice((1, 1, 2, 3)),
            probe=chance.choice(("", "", "", "truth", "truth", "unknown", "yes", "no")),
        )

    def unknown(self, via: str) -> bool:
        """Whether a death at the point of the first process leaves nobody who knows."""
        # A framework's call that needs nobody is claimed as it is proposed.
        claimed = bool(via) and self.amount == "50" and self.point == "propose.after"
        return claimed or self.point in UNKNOWN


@dataclass(slots=True)
class Tally:
    """What was seen over all trials of one engine and adapter."""

    trials: int = 0
    processes: int = 0
    kills: int = 0
    effects: int = 0
    lies: int = 0
    """Calls that a lying probe settled otherwise than the world saw them: found, every one."""
    seconds: float = 0
    states: Counter[str] = field(default_factory=Counter[str])
    violations: list[str] = field(default_factory=list[str])

    def summary(self) -> dict[str, Any]:
        """Return it for the JSON line."""
        return {
            "trials": self.trials,
            "processes": self.processes,
            "kills": self.kills,
            "effects": self.effects,
            "lies_found": self.lies,
            "states": dict(self.states),
            "violations": len(self.violations),
            "seconds": round(self.seconds, 1),
        }


class Prover:
    """Plays batches of trials on one store and checks each against the outside world."""

    def __init__(
        self,
        url: str,
        folder: Path,
        processes: Zygote,
        tally: Tally,
        via: str = "",
        broken: Broken = "",
    ) -> None:
        """Play on `url`, with effects below `folder`, through a framework or the gate itself."""
        self._url = url
        self._folder = folder
        self._processes = processes
        self._tally = tally
        self._via = via
        self._broken: Broken = broken
        self._store = Store(url)

    def close(self) -> None:
        """Verify the journal of everything that was played, and let the store go."""
        found = [f"journal: {finding}" for finding in Journal(self._store, KEY).verify()]
        with self._store.read() as connection:
            running = select(tables.call.c.id).where(tables.call.c.state == "executing")
            found += [f"{row.id} is still executing" for row in connection.execute(running)]
        self._tally.violations += found
        self._store.close()

    def play(self, trials: list[Trial]) -> None:
        """Play trials side by side: first lives, tampering, races, recoveries, checks."""
        jobs = [self._job(trial) for trial in trials]
        first = self._run(jobs)
        for trial, job in zip(trials, jobs, strict=True):
            if trial.tampering:
                self._tamper(job.run, trial.tampering)
        self._run([r for t, j in zip(trials, jobs, strict=True) for r in _racers(t, j)])
        last: dict[int, Report] = {}
        for number in range(3):
            playing = [(t, j) for t, j in zip(trials, jobs, strict=True) if number < t.recoveries]
            hours = 2.0 * (number + 1)
            recoveries = [replace(j, role="recover", crash="", hours=hours) for _, j in playing]
            for (trial, _), report in zip(playing, self._run(recoveries), strict=True):
                last[trial.seed] = report
        for trial, job, report in zip(trials, jobs, first, strict=True):
            self._check(trial, job, report, last[trial.seed])

    def _job(self, trial: Trial) -> Job:
        run = f"run_{trial.seed}"
        effects = self._folder / run
        if trial.probe:
            tell_probe(effects, trial.probe)
        return Job(
            url=self._url,
            effects=str(effects),
            run=run,
            role="live",
            crash=trial.point,
            amount=trial.amount,
            asynchronous=trial.asynchronous,
            via=self._via,
            probed=bool(trial.probe),
            broken=self._broken,
        )

    def _run(self, jobs: list[Job]) -> list[Report]:
        reports = self._processes.carry(*jobs) if jobs else []
        self._tally.processes += len(reports)
        self._tally.kills += sum(report.killed for report in reports)
        return reports

    def _tamper(self, run: str, tampering: str) -> None:
        records = LedgerRows(self._store).calls(RunId(run))
        forged = canonical({"order_id": run, "amount": "499"})
        with self._store.write() as connection:
            for record in records:
                digest = call_digest(record.call.tool, json.loads(forged))
                changes: dict[str, dict[str, Any]] = {
                    "arguments": {"arguments": forged},
                    "digest": {"arguments": forged, "digest": digest},
                    "approval": {"arguments": forged, "digest": digest},
                    "severity": {"arguments": forged, "digest": digest, "severity": 0},
                    "revive": {"state": "approved"},
                    "forged": {"state": "approved"},
                }
                mine = tables.call.c.id == record.call.id
                asked = tables.approval.c.call == record.call.id
                if tampering == "forged" and record.state.value != "pending":
                    continue
                connection.execute(update(tables.call).where(mine).values(**changes[tampering]))
                if tampering in {"approval", "severity"}:
                    connection.execute(update(tables.approval).where(asked).values(digest=digest))
                if tampering == "forged":
                    vote = {"decision": "approve", "decided_by": "user:lead"}
                    connection.execute(update(tables.approval).where(asked).values(**vote))

    def _approved(self, run: str) -> set[str]:
        """Return the calls that a person approved: the journal alone says so."""
        journal = tables.journal.c
        decided = journal.kind == EventKind.APPROVAL_DECIDED.value
        with self._store.read() as connection:
            rows = connection.execute(select(journal.fact).where(journal.run == run, decided))
            facts = [json.loads(row.fact) for row in rows]
        return {fact["call"] for fact in facts if fact.get("decision") == "approve"}

    def _check(self, trial: Trial, job: Job, first: Report, last: Report) -> None:
        tally, effects = self._tally, EffectFile(job.effects).all()
        calls = LedgerRows(self._store).calls(RunId(job.run))
        tally.trials += 1
        tally.effects += len(effects)
        tally.states[last.state or "none"] += 1
        lying = trial.probe in {"yes", "no"}
        problems = [*self._executed(job, effects, calls)]
        if last.killed or not last.state:
            problems.append(f"the recovery ended with {last}")
        elif trial.tampering not in {"revive", "forged"}:
            untrue = [*_untrue(effects, calls, by_key=not self._via)]
            tally.lies += len(untrue) if lying else 0
            problems += [] if lying else untrue
            problems += [*_unsettled(trial, effects, calls)]
        unknown = first.killed and trial.unknown(self._via)
        silent = trial.probe in {"", "unknown"}
        if unknown and not trial.tampering and silent and last.state != "in_doubt":
            problems.append(f"unknown after {trial.point}, yet {last.state}")
        tally.violations += [f"{trial}: {problem}" for problem in problems]

    def _executed(
        self, job: Job, effects: list[dict[str, str]], calls: list[CallRecord]
    ) -> Iterator[str]:
        """Say what happened that nobody approved, or that happened twice."""
        # Two recoveries that race may each propose anew: two calls, each approved and run once. A
        # turn cannot, because whoever carries a run on holds a claim on it; so what is counted here
        # is what the ledger promises, effects per call.
        happened = Counter(effect["key"] for effect in effects)
        if self._via:  # whose functions are not told the key: all calls of the run together
            if len(effects) > len(calls):
                yield f"{len(effects)} effects of {len(calls)} calls"
        else:
            yield from (f"{n} effects of one call" for n in happened.values() if n > 1)
            yield from (
                f"{key} is no call" for key in happened.keys() - {r.call.key for r in calls}
            )
        wanted = Decimal(job.amount)
        if any(Decimal(e["amount"]) != wanted or e["order"] != job.run for e in effects):
            yield f"executed {effects} instead of what was approved"
        if job.amount != "50":
            approved = self._approved(job.run)
            keys = {r.call.key for r in calls if r.call.id in approved}
            if len(effects) > len(keys) or (not self._via and happened.keys() - keys):
                yield f"executed {effects}, of which a person approved {len(keys)}"


def _untrue(
    effects: list[dict[str, str]], calls: list[CallRecord], *, by_key: bool
) -> Iterator[str]:
    """Say which calls the ledger tells otherwise than the world saw them."""
    if by_key:
        happened = Counter(effect["key"] for effect in effects)
        for record in calls:
            count = happened[record.call.key]
            if not settled_truthfully(record.state, count):
                yield f"{record.state} with {count} effects"
        return
    done = sum(record.state.value == "done" for record in calls)
    doubt = sum(record.state.value == "in_doubt" for record in calls)
    if not done <= len(effects) <= done + doubt:
        yield f"{done} done and {doubt} in doubt with {len(effects)} effects"


def _unsettled(
    trial: Trial, effects: list[dict[str, str]], calls: list[CallRecord]
) -> Iterator[str]:
    """Say what a truthful probe left open: with one, what was asked for happens exactly once."""
    if trial.probe != "truth" or trial.tampering or any(role == "deny" for role, _ in trial.racers):
        return
    asked = [record for record in calls if record.state.value != "failed"]
    raced = any(role == "recover" for role, _ in trial.racers)
    if len(effects) != len(asked) or (len(asked) != 1 and not raced):
        states = ", ".join(record.state.value for record in calls)
        told = f"{len(effects)} effects of {len(asked)} requests ({states})"
        yield f"{told} with a truthful probe"


def _racers(trial: Trial, job: Job) -> Iterator[Job]:
    for role, point in trial.racers:
        yield replace(job, role=role, crash=point, hours=0)


@contextmanager
def engine(name: str, folder: Path) -> Generator[str]:
    """Give the URL of a fresh store of this engine."""
    with ExitStack() as stack:
        if name == "sqlite":
            url = f"sqlite:///{folder}/staid.db"
        else:
            from staid.testing.postgres import PostgresServer

            server = PostgresServer(folder / "postgres")
            stack.callback(server.stop)
            url = stack.enter_context(server.database())
        store = Store(url)
        tables.metadata.create_all(store.engine)
        store.close()
        yield url


@dataclass(frozen=True, slots=True)
class Cell:
    """One engine and one way to it: what is proved in one go."""

    engine: str
    via: str
    broken: Broken = ""


def prove(cell: Cell, seeds: list[int], until: float = float("inf")) -> Tally:
    """Play every seed, as far as the time allows, and return what was seen."""
    tally, started = Tally(), time.monotonic()
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() and cell.engine == "sqlite" else None
    with zygote() as processes:
        for begin in range(0, len(seeds), PER_STORE):
            folder = Path(tempfile.mkdtemp(prefix="staid-effects-", dir=where))
            folder.chmod(0o755)
            try:
                with engine(cell.engine, folder) as url:
                    prover = Prover(url, folder, processes, tally, cell.via, cell.broken)
                    some = seeds[begin : begin + PER_STORE]
                    for at in range(0, len(some), BATCH):
                        if time.monotonic() < until:
                            prover.play([Trial.draw(seed) for seed in some[at : at + BATCH]])
                            _progress(cell, tally, len(seeds), time.monotonic() - started)
                    prover.close()
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            if time.monotonic() >= until:
                break
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    tally.seconds = time.monotonic() - started
    return tally


def _progress(cell: Cell, tally: Tally, wanted: int, seconds: float) -> None:
    if sys.stderr.isatty():
        done = tally.trials / wanted
        bar = ("#" * round(20 * done)).ljust(20, ".")
        rate = f"{tally.trials / max(seconds, 0.001):.1f} trials/s"
        name = f"{cell.engine} {cell.via or PLAIN}"
        sys.stderr.write(f"\r\x1b[K{name} [{bar}] {tally.trials}/{wanted} {rate}")
        sys.stderr.flush()


HEADER = ("engine", "via", "trials", "kills", "effects", "lies found", "broken", "seconds", "rate")


def _row(cell: Cell, tally: Tally) -> tuple[str, ...]:
    rate = tally.trials / max(tally.seconds, 0.001)
    numbers = (tally.trials, tally.kills, tally.effects, tally.lies, len(tally.violations))
    return (
        cell.engine,
        cell.via or PLAIN,
        *(str(number) for number in numbers),
        f"{tally.seconds:.0f}",
        f"{rate:.1f}/s",
    )


def _portion(cell: Cell, tally: Tally, seed: int) -> Portion:
    return Portion(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        code=code(),
        engine=cell.engine,
        via=cell.via or PLAIN,
        seed=seed,
        trials=tally.trials,
        kills=tally.kills,
        effects=tally.effects,
        lies=tally.lies,
        broken=len(tally.violations),
        seconds=round(tally.seconds, 1),
    )


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="per engine and way")
    parser.add_argument("--seconds", type=float, help="at most, over everything")
    parser.add_argument("--engine", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--via", choices=(PLAIN, *DRIVERS, "all"), default=PLAIN)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("STAID_SEED", "1")))
    parser.add_argument("--only", type=int, help="the seed of one trial, to repeat it")
    parser.add_argument("--broken", choices=get_args(Broken), default="", help=argparse.SUPPRESS)
    parser.add_argument("--evidence", action="store_true", help=f"add it to {PAGE.name}")
    return parser.parse_args()


def main() -> int:
    """Play the trials asked for and print what was seen; 1 where a promise was broken."""
    given = _given()
    base = given.seed * 1_000_000
    seeds = [given.only] if given.only is not None else [base + n for n in range(given.trials)]
    engines = ("sqlite", "postgres") if given.engine == "both" else (given.engine,)
    ways = ("", *DRIVERS) if given.via == "all" else ("" if given.via == PLAIN else given.via,)
    cells = [Cell(e, way, cast("Broken", given.broken)) for way in ways for e in engines]
    ends = time.monotonic() + given.seconds if given.seconds else float("inf")
    print(f"trials {seeds[0]} to {seeds[-1]}; `--only SEED` repeats one")
    print("".join(title.ljust(15 if title == "via" else 11) for title in HEADER), flush=True)
    found: list[tuple[Cell, Tally]] = []
    for number, cell in enumerate(cells):
        left = ends - time.monotonic()
        tally = prove(cell, seeds, time.monotonic() + left / (len(cells) - number))
        found.append((cell, tally))
        columns = zip(HEADER, _row(cell, tally), strict=True)
        print("".join(v.ljust(15 if t == "via" else 11) for t, v in columns), flush=True)
        for violation in tally.violations[:10]:
            print(f"  BROKEN {violation}", file=sys.stderr)
    total = sum(tally.trials for _, tally in found)
    broken = sum(len(tally.violations) for _, tally in found)
    verdict = f"{total} trials, {broken} broken promises."
    print(verdict)
    if given.evidence:
        command = f"python benchmarks/prove_effects.py {' '.join(sys.argv[1:])}".strip()
        add([_portion(*each, given.seed) for each in found], command)
    cells_told = [{"engine": c.engine, "via": c.via or PLAIN, **t.summary()} for c, t in found]
    print(json.dumps({"seed": given.seed, "cells": cells_told}))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
