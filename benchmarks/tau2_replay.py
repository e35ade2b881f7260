"""Written policies as `policy.yaml`: what they let through of tau2's right writes, and what not.

Three questions, and no model. How many of the writes that solve a task does the policy stop? In the
tasks whose right outcome is no write, how many of the writes that somebody might make does it stop?
And what does it find in recorded conversations, by whether they ended well?

    python benchmarks/tau2_replay.py [--records DIR] [--write docs/evidence/tau2.md]

`--records` names the folder of the two databases. Without it a look-up finds what the recorded
conversations happened to read, and the calls it has no facts for are counted as that.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tau2_rulings import VERDICTS, Ruled, right_writes, transplanted, wished, writes
from tau2_runs import NAME, Found, Recorded, more_often, recorded
from tau2_tools import Domain
from tau2_world import Row, World, of_package, of_runs, rows

DOMAINS = ("retail", "airline")
MOST_DENIED = 0.02
"""Of the right writes whose facts are known, a rule may deny this share."""


def domain(name: str, data: Path, records: Path | None) -> Domain:
    """Return a domain whose look-ups find the databases, or what was recorded."""
    if records is not None:
        return Domain(name, of_package(records, name))
    return Domain(name, of_runs(rows(data, NAME)) if name == "airline" else World())


def counts(found: Iterable[Ruled]) -> dict[str, int]:
    """Return how many calls there are of each verdict."""
    seen = Counter(one.verdict for one in found)
    return {verdict: seen[verdict] for verdict in VERDICTS}


def denied_of_known(found: Sequence[Ruled]) -> float:
    """Return the share of calls a rule denies, of those whose facts are known."""
    seen = counts(found)
    known = len(found) - seen["no facts"]
    return seen["denied"] / known if known else 0.0


def share(part: int, whole: int) -> str:
    """Return a share in words, with the numbers it comes from."""
    return f"{part / whole:.1%} ({part}/{whole})" if whole else "-"


# --- the tables ---------------------------------------------------------------------------------


def of_right(name: str, found: Sequence[Ruled]) -> list[str]:
    """Return the rows about right writes: all of them, and each half of the tasks."""
    lines: list[str] = []
    for half in ("", "first", "second"):
        part = [one for one in found if half in {"", one.half}]
        seen = counts(part)
        known = len(part) - seen["no facts"]
        label = f"{name}, {half} half" if half else name
        numbers = " | ".join(str(seen[verdict]) for verdict in VERDICTS)
        tasks = len({one.task for one in part})
        lines.append(
            f"| {label} | {tasks} | {len(part)} | {numbers} | {share(seen['denied'], known)} |"
        )
    return lines


RIGHT = [
    "| | tasks | writes | allowed | asked | denied | no facts | denied, of those with facts |",
    "|---|---|---|---|---|---|---|---|",
]


def objections(found: Iterable[Ruled]) -> list[str]:
    """Return the right writes that are not allowed, with the rules."""
    return [
        f"- {one.verdict}: task {one.task}, `{one.tool}`: {', '.join(one.rules)}"
        for one in found
        if one.verdict in {"denied", "asked"}
    ]


def of_none_right(label: str, found: Sequence[Ruled]) -> str:
    """Return a row about writes in tasks that want none."""
    seen = counts(found)
    stopped = seen["denied"] + seen["asked"]
    numbers = " | ".join(str(seen[verdict]) for verdict in VERDICTS)
    known = len(found) - seen["no facts"]
    return f"| {label} | {len(found)} | {numbers} | {share(stopped, known)} |"


NONE_RIGHT = [
    "| | calls | allowed | asked | denied | no facts | stopped or asked, of those with facts |",
    "|---|---|---|---|---|---|---|",
]


def task_by_task(name: str, found: Sequence[Ruled]) -> list[str]:
    """Return a row for each task and tool."""
    groups = dict.fromkeys((one.task, one.tool) for one in found)
    return [
        of_none_right(
            f"{name} {task}, `{tool}`", [o for o in found if (o.task, o.tool) == (task, tool)]
        )
        for task, tool in groups
    ]


# --- recorded conversations -----------------------------------------------------------------------


def of_runs_by_end(found: Recorded) -> list[str]:
    """Return in how many conversations a rule denies a write, by how they ended."""
    lines = [
        "| conversations | all | with a denied write | with an asked one, none denied |",
        "|---|---|---|---|",
    ]
    for good, label in ((False, "failed"), (True, "succeeded")):
        denied, asked, every = runs_with(found, good)
        lines.append(f"| {label} | {every} | {share(denied, every)} | {share(asked, every)} |")
    bad, _, of_bad = runs_with(found, good=False)
    fine, _, of_fine = runs_with(found, good=True)
    p = more_often(bad, of_bad, fine, of_fine)
    return [*lines, "", f"Fisher's exact test, one side, on the denied ones: p = {p:.2g}."]


def runs_with(found: Recorded, good: bool) -> tuple[int, int, int]:  # noqa: FBT001 - one of two rows
    """Return how many conversations have a denied write, an asked one alone, and all of them."""
    every = [(task, trial) for task, trial, ended in found.conversations if ended is good]
    of = {
        verdict: {(w.task, w.trial) for w in found.writes if w.ruled.verdict == verdict}
        for verdict in ("denied", "asked")
    }
    denied = [run for run in every if run in of["denied"]]
    asked = [run for run in every if run in of["asked"] - of["denied"]]
    return len(denied), len(asked), len(every)


def rule_by_rule(found: Recorded) -> list[str]:
    """Return how many writes each rule stops, by how the conversation ended."""
    lines = [
        "| rule | writes in failed ones | of them carried out | writes in succeeded ones |",
        "|---|---|---|---|",
    ]
    stopped = [one for one in found.writes if one.stopped]
    names = Counter(name for one in stopped for name in one.ruled.rules)
    for name, _ in names.most_common():
        hit = [one for one in stopped if name in one.ruled.rules]
        failed = [one for one in hit if not one.good]
        done = sum(one.took_effect for one in failed)
        lines.append(f"| `{name}` | {len(failed)} | {done} | {len(hit) - len(failed)} |")
    failed = [one for one in found.writes if not one.good]
    done = sum(one.took_effect for one in failed)
    lines.append(f"| all writes | {len(failed)} | {done} | {len(found.writes) - len(failed)} |")
    return lines


def in_good_ones(found: Iterable[Found]) -> list[str]:
    """Return every write that is stopped in a conversation that ended well."""
    return [
        f"- task {one.task}, trial {one.trial}: {one.ruled.verdict}, `{one.ruled.tool}` "
        f"{_which(one.ruled.arguments)}: {', '.join(one.ruled.rules)}"
        for one in found
        if one.good and one.stopped
    ]


def _which(given: Row) -> str:
    return str(given.get("reservation_id") or f"of {given.get('amount')}")


def of_backtest(found: Recorded) -> str:
    """Say what the product's own backtest makes of the same calls."""
    tested = found.backtest
    return (
        f"`staid gates backtest` on the same {tested.calls} calls: {len(tested.flips)} that this "
        f"policy would not have let through, {len(tested.cannot)} that nobody can tell about."
    )


# --- the report -----------------------------------------------------------------------------------


def report(data: Path, records: Path | None) -> tuple[list[str], dict[str, Any]]:
    """Return the tables and the figures."""
    domains = [domain(name, data, records) for name in DOMAINS]
    tasks = {name: rows(data, f"tau2_{name}_tasks") for name in DOMAINS}
    right = {d.name: right_writes(d, tasks[d.name]) for d in domains}
    others = {d.name: transplanted(d, tasks[d.name]) for d in domains}
    wishes = {d.name: wished(d, tasks[d.name]) for d in domains}
    runs = recorded(domains[1], data)
    lines = ["### Writes that solve a task", "", *RIGHT]
    for name in DOMAINS:
        lines += of_right(name, right[name])
    told = [line for name in DOMAINS for line in objections(right[name])]
    lines += ["", "Not allowed:", "", *(told or ["- none"])]
    lines += ["", "### Writes in tasks whose right outcome is no write", "", *NONE_RIGHT]
    for name in DOMAINS:
        none = sum(not writes(name, task) for task in tasks[name])
        lines.append(of_none_right(f"{name}, the right writes of all others", others[name]))
        lines.append(of_none_right(f"{name}, what the {none} users ask for", wishes[name]))
    lines += ["", "What the users ask for, by task:", "", *NONE_RIGHT]
    lines += [line for name in DOMAINS for line in task_by_task(name, wishes[name])]
    lines += ["", "### Recorded conversations of the airline", "", *of_runs_by_end(runs), ""]
    lines += [*rule_by_rule(runs), "", "Stopped in conversations that succeeded:", ""]
    lines += [*(in_good_ones(runs.writes) or ["- none"]), "", of_backtest(runs)]
    return lines, figures(right, others, wishes, runs)


def figures(
    right: dict[str, list[Ruled]],
    others: dict[str, list[Ruled]],
    wishes: dict[str, list[Ruled]],
    runs: Recorded,
) -> dict[str, Any]:
    """Return the figures as plain values."""
    return {
        **{
            name: {
                "right": {**counts(right[name]), "denied_share": denied_of_known(right[name])},
                "no_write_others": counts(others[name]),
                "no_write_asked_for": counts(wishes[name]),
            }
            for name in DOMAINS
        },
        "runs": {
            label: dict(zip(("denied", "asked", "runs"), runs_with(runs, good), strict=True))
            for label, good in (("failed", False), ("succeeded", True))
        },
    }


def main() -> int:
    """Print the tables, and the figures as JSON in the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, help="the folder of the two databases")
    parser.add_argument("--write", type=Path, help="also put the tables into this page")
    given = parser.parse_args()
    if "STAID_DATA" not in os.environ:
        print("STAID_DATA is not set: it names the folder of the evaluation data.", file=sys.stderr)
        return 3
    began = time.monotonic()
    data = Path(os.environ["STAID_DATA"])
    lines, found = report(data, given.records)
    if given.records is not None:
        bare, found["without_databases"] = report(data, None)
        lines += ["", "### The same without the databases", "", *bare[2:8]]
    lines += ["", f"{time.monotonic() - began:.0f} s."]
    print("\n".join(lines))
    if given.write:
        put(given.write, lines)
    print(json.dumps({"tau2": found}))
    return max(found[name]["right"]["denied_share"] > MOST_DENIED for name in DOMAINS)


def put(page: Path, lines: list[str]) -> None:
    """Put the tables between the marks of a page."""
    head, _, rest = page.read_text("utf-8").partition("<!-- tau2 -->")
    _, _, tail = rest.partition("<!-- /tau2 -->")
    stamp = f"`make bench-tau2 WRITE=docs/evidence/tau2.md`, {datetime.now(UTC):%Y-%m-%d}."
    body = "\n".join(["<!-- tau2 -->", stamp, "", *lines, "<!-- /tau2 -->"])
    page.write_text(f"{head}{body}{tail}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
