"""What a ruling costs under a large policy: a thousand rules, on a thousand tools and on one.

CPU of the calling thread, because machines are shared. The clock on the wall is printed beside it.
`fires`: the share of rules that hold for the call or cannot be decided.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel

from staid.gates.policy import Prepared, Snapshot, policy_says, prepare, rule
from staid.gates.rules import NO_POLICY, Policy
from staid.gates.tool import Tool, define
from staid.project.policy_file import parse_policy

NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)


class Payment(BaseModel):
    """The arguments that rules look at."""

    order_id: str
    amount: Decimal
    to: list[str]
    memo: str | None = None


def pay(_: Payment) -> None:
    """Do nothing."""


CONDITIONS = (
    "amount > {n}00000",
    'order_id == "{n}" and amount > 10',
    'principal == "user:nobody-{n}" and amount > 10',
    'any(to, x => ends_with(lower(x), "@evil-{n}.example"))',
    'contains(order_id, "forbidden-{n}") or amount < -{n}',
    'matches(order_id, "*-{n}-*") and now.weekday in ["sat", "sun"]',
    'record("customer").status == "blocked-{n}"',
    'origin(to) == "document" and "group:exempt-{n}" not in groups',
)
"""None of them holds for the call that is ruled, so that every rule has to be answered for."""

ALIKE = {
    "amounts": CONDITIONS[0],
    "one for each asker": CONDITIONS[2],
    "ends of texts in a list": CONDITIONS[3],
    "parts of texts in a list": 'any(to, x => contains(x, "evil-{n}"))',
    "all of a list": 'not all(to, x => ends_with(x, "acme.com") or x == "e{n}@evil.example")',
    "sum of a list": "sum(to, x => len(x)) > {n}00000",
    "in a written list": 'order_id in ["A-{n}", "B-{n}", "C-{n}"]',
    "every rule fires": "amount > -{n}",
    "no rule can be decided": 'record("customer").nothing == "{n}"',
}
"""Conditions that all thousand rules have in common but for a number."""


def _rule(number: int, condition: str) -> str:
    when = condition.format(n=number + 1)
    return f"      - name: r{number}\n        when: '{when}'\n        then: ask\n"


def policies(tools: dict[str, Tool], count: int) -> dict[str, Policy]:
    """Return the policies that are measured, by name."""

    def read(text: str) -> Policy:
        return parse_policy(text.encode(), Path("policy.yaml"), tools).required()

    def on_one(condition: str | None) -> Policy:
        given = (condition or CONDITIONS[n % len(CONDITIONS)] for n in range(count))
        rules = "".join(_rule(n, each) for n, each in enumerate(given))
        return read(f"version: 1\ntools:\n  pay.out:\n    rules:\n{rules}")

    each = (_rule(n, CONDITIONS[n % len(CONDITIONS)]) for n in range(count))
    spread = "".join(f"  tool.t{n}:\n    rules:\n{one}" for n, one in enumerate(each))
    return {
        "no policy": NO_POLICY,
        f"{count} rules on {count} tools": read(f"version: 1\ntools:\n{spread}"),
        f"{count} rules on one tool, all kinds": on_one(None),
        **{f"{count} rules on one tool, {name}": on_one(one) for name, one in ALIKE.items()},
    }


def measured(prepared: Prepared, snapshot: Snapshot, rounds: int) -> dict[str, float]:
    """Return percentiles of CPU and of the clock on the wall, in microseconds."""
    cpu: list[float] = []
    wall: list[float] = []
    for _ in range(rounds):
        began, started = time.perf_counter(), time.thread_time()
        rule(prepared, snapshot)
        cpu.append((time.thread_time() - started) * 1e6)
        wall.append((time.perf_counter() - began) * 1e6)
    cpu.sort()
    wall.sort()
    at99 = min(rounds - 1, int(rounds * 0.99))
    return {
        "cpu_p50_us": round(cpu[rounds // 2], 1),
        "cpu_p99_us": round(cpu[at99], 1),
        "wall_p50_us": round(wall[rounds // 2], 1),
        "wall_p99_us": round(wall[at99], 1),
    }


def main() -> None:
    """Measure each policy and print what a ruling costs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2000)
    given = parser.parse_args()
    tool = define(pay, "pay.out", lookups={"customer": pay})
    others = (define(pay, f"tool.t{n}", lookups={"customer": pay}) for n in range(given.rules))
    tools = {one.name: one for one in (tool, *others)}
    call = {"order_id": "A-4711", "amount": "99", "to": ["a@acme.com", "b@acme.com"]}
    found: dict[str, dict[str, float]] = {}
    for name, policy in policies(tools, given.rules).items():
        prepared = prepare(tool.name, tool, call, "user:ada", "support", policy)
        snapshot = Snapshot(
            frozenset(tools),
            totals={draw.slot: Decimal(0) for draw in prepared.draws},
            policy=policy.version,
            now=NOW,
            groups=frozenset({"group:staff"}),
            records={"customer": {"status": "good"}},
        )
        rules = 0 if prepared.bounds is None else len(prepared.bounds.rules)
        fires = len(policy_says(prepared, snapshot)) / rules if rules else 0.0
        gc.collect()
        found[name] = {"fires": fires, **measured(prepared, snapshot, given.rounds)}
        cpu = found[name]
        print(
            f"{name:52} fires {fires:4.0%}, CPU p50 {cpu['cpu_p50_us']:7.1f} us,"
            f" p99 {cpu['cpu_p99_us']:7.1f} us; on the wall p99 {cpu['wall_p99_us']:7.1f} us"
        )
    print(json.dumps({"rules": given.rules, "rounds": given.rounds, "rulings": found}))


if __name__ == "__main__":
    main()
