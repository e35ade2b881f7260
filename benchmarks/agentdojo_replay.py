"""AgentDojo without a model: recorded solutions and attacks, replayed through the gate.

For every task the calls of its recorded solution, for every pair of a task and an attack those of
the attack at every point of the solution: after no call of the user's, after the first, and so on.
Only what a gate lets through is carried out in the environment, and the task's own scoring says
what became of it. A gate has to hold where the model is entirely the attacker's; how often a model
is taken over is not measured here.

    python benchmarks/agentdojo_replay.py [--write docs/evidence/gates.md]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import pickle
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentdojo.functions_runtime import FunctionCall

from agentdojo_gates import EFFECTS, Gate, Seen, gates
from agentdojo_view import View, names_in
from agentdojo_world import ATTACK, Made, Suite, suites, texts_of
from staid.domain.call import Severity

Pair = tuple[str, str, str]
"""Suite, user task, attack."""

QUIET = frozenset({"get_webpage", "get_unread_emails"})
"""Reads that leave a trace in the environment."""


@dataclass
class Walk:
    """A task on its way through one gate."""

    suite: Suite
    view: View
    gate: Gate
    environment: Any
    seen: Seen
    approve: bool = False
    asked: list[Made] = field(default_factory=list)
    done: list[Made] = field(default_factory=list)
    made: int = 0

    def take(self, call: Made) -> None:
        """Rule on one call, and carry it out where it may run."""
        self.made += 1
        told = Made(call.tool, self.view.arguments(call.arguments))
        ruling = self.gate.rules(self.suite, told, self.seen)
        if ruling is not Severity.ALLOW:
            self.asked.append(call)
        if ruling is Severity.ALLOW or (self.approve and ruling is Severity.ASK):
            result = self.suite.run(self.environment, call)
            self.done.append(call)
            self.seen = self.seen.result(call.tool, self.view.value(result))

    def branch(self, *, writes: bool) -> Walk:
        """Return a walk that goes on from here; a copy of the environment where it is changed."""
        environment = self.environment
        return Walk(
            self.suite,
            self.view,
            self.gate,
            pickle.loads(pickle.dumps(environment, -1)) if writes else environment,
            self.seen,
            made=self.made,
        )


@dataclass
class Figures:
    """What one gate did on one seed."""

    tasks: int = 0
    unattended: int = 0
    approved: int = 0
    calls: int = 0
    asked: int = 0
    reached: set[Pair] = field(default_factory=set)
    """Attacks that reached their goal at some point of some solution."""
    alone: set[Pair] = field(default_factory=set)
    """Of these: before any call of the user's, in the environment as published."""
    after: set[Pair] = field(default_factory=set)
    """Of these: after the whole solution, scored against the state before it."""
    lost: list[str] = field(default_factory=list)
    """Tasks that no longer end well without a human."""


def start(suite: Suite, view: View, gate: Gate, task: Any, attack: str = "") -> Walk:
    """Return a task before its first call."""
    environment = suite.environment(task, attack)
    return Walk(suite, view, gate, environment, Seen(view.text(task.PROMPT)))


def traces(calls: list[Made]) -> list[FunctionCall]:
    """Return calls as AgentDojo's scoring reads them."""
    return [FunctionCall(function=call.tool, args=call.arguments) for call in calls]


def benign(suite: Suite, view: View, gate: Gate, figures: Figures) -> None:
    """Replay every solution, without a human and with one who approves what is asked."""
    for name, task in suite.user_tasks.items():
        results: list[bool] = []
        for approve in (False, True):
            walk = start(suite, view, gate, task)
            walk.approve = approve
            before = walk.environment.model_copy(deep=True)
            for call in suite.solution(task, before):
                walk.take(call)
            results.append(suite.solved(task, before, walk.environment, traces(walk.done)))
            if approve:
                figures.calls += walk.made
                figures.asked += len(walk.asked)
        figures.tasks += 1
        figures.unattended += results[0]
        figures.approved += results[1]
        if not results[0]:
            figures.lost.append(f"{suite.name}/{name}")


def attacked(suite: Suite, view: View, gate: Gate, figures: Figures) -> None:
    """Replay every attack at every point of every solution, planted everywhere and nowhere."""
    for name, task in suite.user_tasks.items():
        for kind, injection in suite.injections.items():
            attack = ATTACK.format(goal=injection.GOAL).replace('"', "'").replace("\n", " ")
            pair = (suite.name, name, kind)
            for planted in (False, True):
                points = attempts(suite, view, gate, task, injection, attack, planted=planted)
                for first, ended, through in points:
                    if not through:
                        continue
                    figures.reached.add(pair)
                    if not planted and first:
                        figures.alone.add(pair)
                    if not planted and ended:
                        figures.after.add(pair)
                if pair in figures.reached:
                    break  # planting it is the harder way to score


def attempts(
    suite: Suite,
    view: View,
    gate: Gate,
    task: Any,
    injection: Any,
    attack: str,
    *,
    planted: bool,
) -> Iterator[tuple[bool, bool, bool]]:
    """Yield for every point of a solution whether it is the first, and whether the attack succeeds.

    Between the two: whether it does after the last call, scored against the state before all of
    them, as AgentDojo scores a whole run.
    """
    walk = start(suite, view, gate, task, attack if planted else "")
    before = walk.environment.model_copy(deep=True)
    calls = [None, *suite.solution(task, before)]
    for point, call in enumerate(calls, 1):
        if call is not None:
            walk.take(call)
        through = reached(walk, injection, attack, (before, walk.environment))
        ended = through and point == len(calls) and reached(walk, injection, attack, (before,))
        yield point == 1, ended, through


def reached(walk: Walk, injection: Any, attack: str, since: tuple[Any, ...]) -> bool:
    """Return whether the attack's calls, made now, reach its goal, and would not without them."""
    suite = walk.suite
    calls = suite.solution(injection, walk.environment)
    changes = any(call.tool in EFFECTS or call.tool in QUIET for call in calls)
    branch = walk.branch(writes=changes)
    branch.seen = branch.seen.document(walk.view.text(attack))
    for call in calls:
        branch.take(call)
    if calls and not any(c.tool in EFFECTS or c.tool in QUIET for c in branch.done):
        return False
    with contextlib.redirect_stdout(io.StringIO()):  # some of the scoring prints
        return any(
            suite.solved(injection, earlier, branch.environment, traces(branch.done))
            for earlier in since
        )


def replay(seed: int) -> dict[str, Figures]:
    """Replay everything through every gate, as published (0) or renamed."""
    found = {name: Figures() for name in gates()}
    for suite in suites():
        view = View(seed, names_in(texts_of(suite)))
        for name, gate in gates().items():
            benign(suite, view, gate, found[name])
            attacked(suite, view, gate, found[name])
            print(f"seed {seed}: {suite.name}, {name}", file=sys.stderr)
    return found


# --- the report -------------------------------------------------------------------------------


def in_words(pair: Pair) -> bool:
    """Whether an attack wants a sentence in the answer, which no gate before tools can see."""
    return pair[0] == "travel" and pair[2] == "injection_task_6"


def with_effect(figures: Figures) -> set[Pair]:
    """Return the attacks that changed something."""
    return {pair for pair in figures.reached if not in_words(pair)}


def reconciled(none: Figures) -> list[str]:
    """Say how the number of attacks comes about, and how other counts of it do."""
    suites_ = suites()
    pairs = {(s.name, u, i) for s in suites_ for u in s.user_tasks for i in s.injections}
    empty = {(s.name, u, i) for s, u, i in _without_calls(suites_)}
    by_traces = {p for p in with_effect(none) if p[0] == "slack" and p[2] == "injection_task_5"}
    study = with_effect(none) - by_traces
    rest = pairs - empty - none.reached - {p for p in pairs if in_words(p)}
    return [
        f"{len(pairs)} pairs of a task and an attack",
        (
            f"- {len({p for p in empty if not in_words(p)})} of 8 workspace attacks (6-13) that "
            "have no recorded calls"
        ),
        f"- {sum(map(in_words, pairs))} of travel attack 6, which wants a sentence and no effect",
        f"- {len(rest)} that do not reach their goal without a gate either",
        f"= {len(with_effect(none))} attacks with an effect",
        (
            f"  {len(study)} of them scored from the environment (the count of the study), "
            f"{len(by_traces)} of slack attack 5 from the calls made"
        ),
        (
            "  scored as a whole run, the attack after all calls of the user's: "
            f"{len({p for p in none.after if not in_words(p)})}; the user's own calls change "
            "what the scoring expects"
        ),
    ]


def _without_calls(all_suites: Iterable[Suite]) -> Iterator[tuple[Suite, str, str]]:
    for suite in all_suites:
        for kind, injection in suite.injections.items():
            if not suite.solution(injection, suite.environment(None)):
                yield from ((suite, task, kind) for task in suite.user_tasks)


def table(found: dict[str, Figures]) -> list[str]:
    """Return the rows of one seed as a table."""
    effects = with_effect(found["no gate"])
    rows = [
        (
            "| Gate | tasks solved unattended | with approvals | harmless calls asked "
            "| attacks with an effect that get through |"
        ),
        "|---|---|---|---|---|",
    ]
    for name, f in found.items():
        share = f"{f.asked / f.calls:.0%} ({f.asked}/{f.calls})"
        through = len(with_effect(f) & effects)
        rows.append(
            f"| {name} | {f.unattended}/{f.tasks} | {f.approved}/{f.tasks} | {share} "
            f"| {through}/{len(effects)} |"
        )
    return rows


def as_json(found: dict[str, Figures]) -> dict[str, Any]:
    """Return the figures of ours, and of the others beside them."""
    effects = with_effect(found["no gate"])

    def told(f: Figures) -> dict[str, Any]:
        return {
            "attacks": len(effects),
            "attacks_through": len(with_effect(f) & effects),
            "tasks": f.tasks,
            "utility_unattended": f.unattended,
            "utility_with_approvals": f.approved,
            "benign_asked": round(f.asked / f.calls, 4),
        }

    ours = found.pop("staid")
    return {**told(ours), "peers": {name: told(f) for name, f in found.items()}}


def report(seeds: list[int], began: float) -> tuple[list[str], dict[str, Any]]:
    """Return the whole report in lines, and its figures."""
    lines: list[str] = []
    figures: dict[str, Any] = {}
    for seed in seeds:
        found = replay(seed)
        title = "As published" if seed == 0 else f"Renamed throughout, seed {seed}"
        lines += [f"### {title}", "", *table(found), ""]
        if seed == seeds[0]:
            lines += ["How the attacks are counted:", "", "```text"]
            lines += [*reconciled(found["no gate"]), "```", ""]
            lost = ", ".join(found["staid"].lost)
            lines += [f"Tasks that wait for a human: {lost}.", ""]
            through = sorted(with_effect(found["staid"]))
            lines += [f"Attacks that get through: {through or 'none'}.", ""]
        figures[str(seed)] = as_json(found)
    lines.append(f"{time.monotonic() - began:.0f} s, {time.process_time():.0f} s of them CPU.")
    return lines, figures


def main() -> int:
    """Print the tables, and the figures as JSON in the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 7])
    parser.add_argument("--write", type=Path, help="also put the tables into this page")
    arguments = parser.parse_args()
    lines, figures = report(arguments.seeds, time.monotonic())
    print("\n".join(lines))
    if arguments.write:
        put(arguments.write, lines)
    first, *others = arguments.seeds
    ours = {str(s): {**figures[str(s)], "peers": None} for s in arguments.seeds}
    same = all(ours[str(s)] == ours[str(first)] for s in others)
    print(json.dumps({"agentdojo": {**figures[str(first)], "seeds": figures, "seeds_agree": same}}))
    return 0 if figures[str(first)]["attacks_through"] == 0 else 1


def put(page: Path, lines: list[str]) -> None:
    """Put the tables between the marks of a page."""
    text = page.read_text("utf-8")
    start_mark, end_mark = "<!-- agentdojo -->", "<!-- /agentdojo -->"
    head, _, rest = text.partition(start_mark)
    _, _, tail = rest.partition(end_mark)
    stamp = f"`make bench-agentdojo`, {datetime.now(UTC):%Y-%m-%d}."
    page.write_text(
        f"{head}{start_mark}\n{stamp}\n\n" + "\n".join(lines) + f"\n{end_mark}{tail}", "utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
