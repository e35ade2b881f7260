"""Adversarial trials around a refund: kills, retries, races, double decisions, tampered rows.

`python benchmarks/prove_effects.py --trials 1000 --engine both`, or `make prove-effects`. Each
trial is drawn from its seed, runs in processes of its own, and is checked against a file that the
handler appends to: what the outside world saw. The seed of a trial that fails is printed;
`--trial SEED` repeats it alone.
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
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from staid.domain.call import call_digest
from staid.domain.ids import RunId
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger_rows import LedgerRows
from staid.testing.kill import (
    KEY,
    POINTS,
    UNKNOWN,
    EffectFile,
    Job,
    Report,
    Role,
    Zygote,
    settled_truthfully,
    zygote,
)

BATCH = 8
"""Trials whose processes run side by side, on one store."""
TAMPERINGS = ("arguments", "digest", "approval", "severity", "revive")


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
            recoveries=chance.choice((1, 2, 3)),
        )


@dataclass(slots=True)
class Tally:
    """What was seen over all trials."""

    trials: int = 0
    processes: int = 0
    kills: int = 0
    effects: int = 0
    states: Counter[str] = field(default_factory=Counter[str])
    violations: list[str] = field(default_factory=list[str])


class Prover:
    """Plays batches of trials on one store and checks each against the outside world."""

    def __init__(self, url: str, folder: Path, processes: Zygote, tally: Tally) -> None:
        """Play on `url`, with effects below `folder`."""
        self._url = url
        self._folder = folder
        self._processes = processes
        self._tally = tally

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
        return Job(
            url=self._url,
            effects=str(self._folder / run),
            run=run,
            role="live",
            crash=trial.point,
            amount=trial.amount,
            asynchronous=trial.asynchronous,
        )

    def _run(self, jobs: list[Job]) -> list[Report]:
        reports = self._processes.run(*jobs) if jobs else []
        self._tally.processes += len(reports)
        self._tally.kills += sum(report.killed for report in reports)
        return reports

    def _tamper(self, run: str, tampering: str) -> None:
        store = Store(self._url)
        found = LedgerRows(store).calls(RunId(run))
        forged = {"order_id": run, "amount": "499"}
        digest = call_digest("refund.issue", forged)
        changes: dict[str, dict[str, Any]] = {
            "arguments": {"arguments": json.dumps(forged)},
            "digest": {"arguments": json.dumps(forged), "digest": digest},
            "approval": {"arguments": json.dumps(forged), "digest": digest},
            "severity": {"arguments": json.dumps(forged), "digest": digest, "severity": 0},
            "revive": {"state": "approved"},
        }
        with store.write() as connection:
            for record in found:
                mine = tables.call.c.id == record.call.id
                connection.execute(update(tables.call).where(mine).values(**changes[tampering]))
                if tampering in {"approval", "severity"}:
                    asked = tables.approval.c.call == record.call.id
                    connection.execute(update(tables.approval).where(asked).values(digest=digest))
        store.close()

    def _calls(self, run: str) -> dict[str, str]:
        store = Store(self._url)
        found = {r.call.key: r.state.value for r in LedgerRows(store).calls(RunId(run))}
        store.close()
        return found

    def _check(self, trial: Trial, job: Job, first: Report, last: Report) -> None:
        tally, effects = self._tally, EffectFile(job.effects).all()
        tally.trials += 1
        tally.effects += len(effects)
        tally.states[last.state or "none"] += 1
        problems: list[str] = []
        # Two recoveries that race may each propose anew: two calls, each approved and run once. A
        # turn cannot, because whoever carries a run on holds a claim on it; so what is counted here
        # is what the ledger promises, effects per call.
        happened = Counter(effect["key"] for effect in effects)
        calls = self._calls(job.run)
        problems += [f"{n} effects of one call" for n in happened.values() if n > 1]
        problems += [f"{key} is no call" for key in happened.keys() - calls.keys()]
        wanted = str(job.amount).rstrip("0").rstrip(".") if "." in job.amount else job.amount
        if any(effect["amount"] != wanted or effect["order"] != job.run for effect in effects):
            problems.append(f"executed {effects} instead of what was approved")
        if last.killed or not last.state:
            problems.append(f"the recovery ended with {last}")
        elif trial.tampering != "revive":
            problems += [
                f"{state} with {happened[key]} effects"
                for key, state in calls.items()
                if not settled_truthfully(state, happened[key])
            ]
        unknown = first.killed and trial.point in UNKNOWN
        if unknown and not trial.tampering and last.state != "in_doubt":
            problems.append(f"unknown after {trial.point}, yet {last.state}")
        tally.violations += [f"{trial}: {problem}" for problem in problems]


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


def prove(name: str, seeds: list[int], tally: Tally) -> float:
    """Play every seed on one engine, verify its journal, and return the seconds it took."""
    folder = Path(tempfile.mkdtemp(prefix="staid-effects-"))
    folder.chmod(0o755)
    started = time.monotonic()
    try:
        with engine(name, folder) as url, zygote() as processes:
            prover = Prover(url, folder, processes, tally)
            for begin in range(0, len(seeds), BATCH):
                prover.play([Trial.draw(seed) for seed in seeds[begin : begin + BATCH]])
            tally.violations += _verify(url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return time.monotonic() - started


def _verify(url: str) -> list[str]:
    store = Store(url)
    found = [f"journal: {finding}" for finding in Journal(store, KEY).verify()]
    with store.read() as connection:
        running = select(tables.call.c.id).where(tables.call.c.state == "executing")
        found += [f"{row.id} is still executing" for row in connection.execute(running)]
    store.close()
    return found


def main() -> int:
    """Play the trials asked for and print what was seen; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="per engine")
    parser.add_argument("--engine", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("STAID_SEED", "1")))
    parser.add_argument("--trial", type=int, help="the seed of one trial, to repeat it")
    given = parser.parse_args()
    base = given.seed * 1_000_000
    seeds = [given.trial] if given.trial is not None else [base + n for n in range(given.trials)]
    names = ("sqlite", "postgres") if given.engine == "both" else (given.engine,)
    summary: dict[str, Any] = {"seed": given.seed, "seeds": [seeds[0], seeds[-1]]}
    print(f"seed {given.seed}: trials {seeds[0]} to {seeds[-1]} on {', '.join(names)}")
    header = f"{'engine':<10}{'trials':>8}{'processes':>11}{'kills':>8}{'effects':>9}{'seconds':>9}"
    print(f"{header}  states")
    broken = False
    for name in names:
        tally = Tally()
        seconds = prove(name, seeds, tally)
        states = ", ".join(f"{state} {count}" for state, count in sorted(tally.states.items()))
        print(
            f"{name:<10}{tally.trials:>8}{tally.processes:>11}{tally.kills:>8}{tally.effects:>9}"
            f"{seconds:>9.1f}  {states}"
        )
        for violation in tally.violations[:10]:
            print(f"  BROKEN {violation}", file=sys.stderr)
        broken = broken or bool(tally.violations)
        summary[name] = {
            "trials": tally.trials,
            "processes": tally.processes,
            "kills": tally.kills,
            "effects": tally.effects,
            "states": dict(tally.states),
            "violations": len(tally.violations),
            "seconds": round(seconds, 1),
        }
    print(json.dumps(summary))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
