"""SIGKILL at random moments under load: what was told is recorded whole, on both engines.

Each trial is a process whose threads ask agents without end and which is killed after a random
number of transactions. Afterwards every outcome that anybody was given is held against its record,
every chain, content and seal is verified, and every run without an outcome has to be listed as
interrupted. Beside it, when `.venv-peers` is there, what the clients of other vendors lose when
their process is killed. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench_traces import CLIENTS, EMITTED, PEERS, ours_after_kill, peer_lost, sink
from staid.testing import load

PER_STORE = 100
"""Trials on one store before it is checked and a fresh one is taken."""


@contextmanager
def engine(name: str, folder: Path) -> Generator[str]:
    """Give the URL of an empty store of this engine."""
    with ExitStack() as stack:
        if name == "sqlite":
            yield f"sqlite:///{folder}/staid.db"
        else:
            from staid.testing.postgres import PostgresServer

            server = PostgresServer(folder / "postgres")
            stack.callback(server.stop)
            yield stack.enter_context(server.database())


def prove(name: str, seeds: list[int]) -> load.Seen:
    """Play the trials on stores of one engine, and add up what was seen."""
    total = load.Seen()
    for begin in range(0, len(seeds), PER_STORE):
        folder = Path(tempfile.mkdtemp(prefix="staid-journal-"))
        folder.chmod(0o755)
        try:
            with engine(name, folder) as url:
                _add(total, _play(folder, url, seeds[begin : begin + PER_STORE]))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return total


def _play(folder: Path, url: str, seeds: list[int]) -> load.Seen:
    load.prepare(folder, url)
    seen = load.Seen()
    with load.killer(folder) as play:
        for seed in seeds:
            if play(seed):
                seen.kills += 1
            else:
                seen.violations.append(f"the child of trial {seed} ended by itself")
    load.check(folder, seen)
    return seen


def _add(total: load.Seen, seen: load.Seen) -> None:
    for name in ("kills", "runs", "told", "interrupted", "effects"):
        setattr(total, name, getattr(total, name) + getattr(seen, name))
    total.violations += seen.violations


def peers() -> dict[str, int]:
    """Return how many of 300 records each client lost, ours among them."""
    with tempfile.TemporaryDirectory() as folder:
        lost = {"staid": ours_after_kill(Path(folder))}
    if not PEERS.exists():
        print("no .venv-peers here (make peers-setup): the peers were not tried")
        return lost
    with sink() as receiver:
        return lost | {client: peer_lost(client, receiver) for client in CLIENTS}


def main() -> int:
    """Play the trials asked for and print what was seen; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500, help="on both engines together")
    parser.add_argument("--engine", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("STAID_SEED", "1")))
    given = parser.parse_args()
    names = ("sqlite", "postgres") if given.engine == "both" else (given.engine,)
    each = given.trials // len(names)
    seeds = [given.seed * 1_000_000 + number for number in range(each)]
    summary: dict[str, Any] = {"seed": given.seed}
    print(
        f"{'engine':<10}{'kills':>7}{'runs':>8}{'told':>8}{'interrupted':>13}{'effects':>9}{'seconds':>9}"
    )
    broken = False
    for name in names:
        started = time.monotonic()
        seen = prove(name, seeds)
        seconds = time.monotonic() - started
        print(
            f"{name:<10}{seen.kills:>7}{seen.runs:>8}{seen.told:>8}{seen.interrupted:>13}"
            f"{seen.effects:>9}{seconds:>9.0f}"
        )
        for violation in seen.violations[:10]:
            print(f"  BROKEN {violation}", file=sys.stderr)
        broken = broken or bool(seen.violations)
        counts = {n: getattr(seen, n) for n in ("kills", "runs", "told", "interrupted", "effects")}
        summary[name] = {**counts, "violations": len(seen.violations), "seconds": round(seconds)}
    summary["lost_after_kill"] = peers()
    for client, lost in summary["lost_after_kill"].items():
        print(f"{client:<12} lost {lost:>4} of {EMITTED} records on kill -9")
    print(json.dumps(summary))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
