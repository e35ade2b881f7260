"""What was proved about effects so far: one line per portion, and the page that adds them up.

A hundred thousand trials are hours of work, so they are played in portions. A portion is an engine,
a way to it and a seed; played again, it takes the place of what it was.
"""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "docs" / "evidence"
PORTIONS = FOLDER / "effects.jsonl"
PAGE = FOLDER / "effects.md"
_HEADER = ("engine", "via", "trials", "kills", "effects", "lies found", "broken", "minutes")


@dataclass(frozen=True, slots=True)
class Portion:
    """Trials of one engine and one way to it, drawn from one seed."""

    date: str
    code: str
    """The commit that was proved."""
    engine: str
    via: str
    seed: int
    trials: int
    kills: int
    effects: int
    lies: int
    broken: int
    seconds: float


def code() -> str:
    """Return the commit of this checkout, marked with `+` where files differ from it."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        asked = ("git", "-C", str(here), *words)
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../src", ".")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def add(portions: Iterable[Portion], command: str) -> None:
    """Keep portions beside those that are kept, and write the page anew."""
    kept = {_name(each): each for each in _kept()}
    kept |= {_name(each): each for each in portions}
    ordered = [kept[name] for name in sorted(kept)]
    FOLDER.mkdir(exist_ok=True)
    PORTIONS.write_text("".join(json.dumps(asdict(each)) + "\n" for each in ordered))
    PAGE.write_text(_page(ordered, command))


def _name(portion: Portion) -> tuple[str, str, int]:
    return portion.engine, portion.via, portion.seed


def _kept() -> list[Portion]:
    lines = PORTIONS.read_text().splitlines() if PORTIONS.exists() else []
    told: list[Mapping[str, Any]] = [json.loads(line) for line in lines]
    return [Portion(**each) for each in told]


def _row(engine: str, via: str, portions: Iterable[Portion]) -> str:
    some = list(portions)
    counted = ("trials", "kills", "effects", "lies", "broken")
    sums = [f"{sum(getattr(each, name) for each in some):,}" for name in counted]
    minutes = f"{sum(each.seconds for each in some) / 60:.0f}"
    return f"| {' | '.join((engine, via, *sums, minutes))} |\n"


def _table(portions: list[Portion]) -> str:
    cells: defaultdict[tuple[str, str], list[Portion]] = defaultdict(list)
    for each in portions:
        cells[each.via, each.engine].append(each)
    rows = [_row(engine, via, some) for (via, engine), some in sorted(cells.items())]
    head = f"| {' | '.join(_HEADER)} |\n|{'---|' * len(_HEADER)}\n"
    return head + "".join(rows) + _row("both", "all", portions)


def _when(portions: list[Portion]) -> str:
    days: defaultdict[tuple[str, str], list[Portion]] = defaultdict(list)
    for each in portions:
        days[each.date, each.code].append(each)
    return "".join(
        f"| {date} | `{commit}` | {len(some)} | {sum(p.trials for p in some):,} | "
        f"{', '.join(str(seed) for seed in sorted({p.seed for p in some}))} |\n"
        for (date, commit), some in sorted(days.items())
    )


def _page(portions: list[Portion], command: str) -> str:
    trials = sum(each.trials for each in portions)
    broken = sum(each.broken for each in portions)
    return f"""# Effects under adversarial trials

{trials:,} trials, {broken} broken promises. Last portion: `{command}`.

Each trial is one refund that several processes propose, decide, execute and recover. Processes die
by SIGKILL at drawn points, requests race, stored rows are tampered with, the probe of the system
behind tells the truth, lies or does not know. The effect is counted outside, in a file. *broken*
counts trials in which a call took effect twice, with other arguments than those approved, or
without approval, in which an unknown was not found in doubt, or a truthful probe did not lead to
exactly one effect. *lies found* counts calls that a lying probe settled wrongly; the ledger cannot
know better than the system behind.

{_table(portions)}
The trials are played in portions, each with its own seed and so with other trials, on a machine
that does other work beside: minutes are not a rate. `effects.jsonl` beside this page holds every
portion. Three alarms so far, trials 21001236, 45000854 and 151000615, all of one kind: recoveries
that raced had proposed a call each, one of which happened and one still waited, because the trial's
own last recovery carried on, or approved, only one of them. It sees to all of them since, and the
three portions were played again.

| date | commit | portions | trials | seeds |
|---|---|---|---|---|
{_when(portions)}"""
