"""`staid gates check`, `explain` and `backtest`: the policy of a project."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from staid.cli import output
from staid.cli.ask import AsOption, GroupsOption, groups_of
from staid.domain.call import Ruling
from staid.domain.canonical import decimal_text
from staid.domain.errors import PolicyInvalid, PolicyLoosens, ToolUnknown, UsageInvalid
from staid.gates.backtest import Backtest, Flip
from staid.gates.expression.scope import ORIGINS
from staid.gates.policy import Snapshot, facts_of, prepare, rule
from staid.gates.rule import Said
from staid.gates.rules import Policy

if TYPE_CHECKING:
    from staid.project.policy_file import PolicyFile
    from staid.project.project import Project


def checked_policy(project: Project, file: Path | None) -> Policy:
    """Return a policy without mistakes; print every one there is and end with exit code 2."""
    from staid.project.policy_file import read_policy

    named = project.settings.gates.policy
    path = file or (project.settings.path(named) if named else None)
    if path is None:
        return project.wiring.policy
    read = read_policy(path, project.tools)
    if read.faults:
        _tell(read)
    return read.policy


def _tell(read: PolicyFile) -> None:
    where = read.path.name
    first = read.faults[0]
    output.emit(
        {
            "policy": where,
            "faults": [
                {"line": f.line, "column": f.column, "detail": f.detail} for f in read.faults
            ],
        },
        [f"{where}:{f.line}:{f.column}: {f.detail}" for f in read.faults],
    )
    if not output.as_json():
        output.tell_error(
            PolicyInvalid(where=f"{where}:{first.line}:{first.column}", detail=first.detail)
        )
    raise typer.Exit(2)


# --- explain --------------------------------------------------------------------------------


def explain(
    tool: Annotated[str, typer.Argument(help="Its name, as in refund.issue.")],
    as_: AsOption = "",
    groups: GroupsOption = None,
    arguments: Annotated[str, typer.Option(help="The arguments, as JSON.")] = "{}",
    agent: Annotated[str, typer.Option(help="Which agent proposes it.")] = "support",
    origin: Annotated[
        list[str] | None, typer.Option(help="Where an argument comes from: to=user; repeatable.")
    ] = None,
    said: Annotated[str | None, typer.Option(help="What the asker wrote last.")] = None,
    file: Annotated[Path | None, typer.Option(help="Another policy than the project's.")] = None,
) -> None:
    """Say what every rule makes of a call, and which decides; nothing is proposed or carried out.

    Records are looked up as for a real call. Budgets are as if nothing had been drawn.
    Example: staid gates explain refund.issue --arguments '{"amount": 120}' --as user:ada
    """
    project = output.project()
    policy = checked_policy(project, file)
    found = project.tools.get(tool)
    if found is None:
        raise ToolUnknown(tool=tool)
    if not as_:
        raise UsageInvalid(detail="nobody acts", hint="Say who: --as user:ada")
    who = project.wiring.identify(as_, groups_of(groups)).principal
    prepared = prepare(tool, found, _arguments(arguments), who.token, agent, policy)
    snapshot = Snapshot(
        frozenset({tool}),
        totals={draw.slot: Decimal(0) for draw in prepared.draws},
        policy=policy.version,
        groups=who.groups,
        now=project.wiring.clock.now(),
        origins=_origins(origin or []),
        said=said,
    )
    from staid.runtime.records import looked_up

    snapshot = asyncio.run(looked_up(prepared, snapshot))
    rules = prepared.bounds.all(facts_of(prepared, snapshot)) if prepared.bounds else []
    _explained(tool, rule(prepared, snapshot), rules)


def _arguments(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_float=str)
    except ValueError as error:
        detail = f"the arguments are not JSON: {error}"
        raise UsageInvalid(detail=detail, hint="--arguments '{\"amount\": 120}'") from error
    if not isinstance(value, dict):
        raise UsageInvalid(
            detail="the arguments are no JSON object", hint="--arguments '{\"amount\": 120}'"
        )
    return cast("dict[str, Any]", value)


def _origins(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        path, _, word = one.partition("=")
        if word not in ORIGINS:
            raise UsageInvalid(detail=f"{one!r} names no origin", hint=f"one of {ORIGINS}")
        found[path] = word
    return found


def _explained(tool: str, ruling: Ruling, said: list[Said]) -> None:
    rows = [
        (
            one.rule.id,
            {True: "holds", False: "does not hold", None: "cannot be decided"}[one.holds],
            one.severity.word,
            one.why or (one.rule.when.text if one.rule.when else _unless(one)),
        )
        for one in said
    ]
    lines = output.table(("rule", "value", "ruling", "why"), rows) if rows else []
    steps = ", ".join(f"{name} {word}" for name, word in ruling.steps)
    output.emit(
        {
            "tool": tool,
            "ruling": ruling.severity.word,
            "rule": ruling.rule,
            "message": ruling.message,
            "steps": [list(step) for step in ruling.steps],
            "rules": [
                {"rule": name, "holds": one.holds, "ruling": word, "why": why}
                for (name, _, word, why), one in zip(rows, said, strict=True)
            ],
        },
        [
            *lines,
            *output.paragraph(f"{ruling.severity.word} by {ruling.rule}: {ruling.message}"),
            *output.paragraph(f"Asked: {steps}."),
        ],
    )


def _unless(one: Said) -> str:
    return f"unless {one.rule.unless.text}" if one.rule.unless else "always"


# --- backtest -------------------------------------------------------------------------------


def backtest(
    file: Annotated[
        Path | None, typer.Argument(help="The candidate; without one the project's policy.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Calls from then on: 30d, 2026-05-01.")] = None,
    sign: Annotated[
        str | None, typer.Option("--sign-off", help="Take on that it is looser; say why.")
    ] = None,
    as_: AsOption = "",
    groups: GroupsOption = None,
) -> None:
    """Rule on every recorded call by a policy: what flips, what it costs, what goes unattended.

    Exit 1 where less would stand in the way of a call than then, unless somebody signs it off.
    Example: staid gates backtest policy.yaml --since 30d
    """
    from staid.project.policy_trial import sign_off, tried
    from staid.project.replaying import moment

    project = output.project()
    trial = tried(project, checked_policy(project, file), moment(since) if since else None)
    found, signed = trial.found, trial.signed
    if sign is not None and found.loosened:
        if not as_:
            raise UsageInvalid(detail="nobody signs off", hint="Say who: --as user:lead")
        sign_off(project, trial, sign, by=as_, groups=groups_of(groups))
        signed = True
    output.emit(
        {**backtest_json(found), "policy": trial.policy.version, "signed_off": signed},
        lambda: backtest_lines(found, signed=signed),
    )
    if found.loosened and not signed:
        if output.as_json():
            raise typer.Exit(1)
        raise PolicyLoosens(count=len(found.loosened))


def backtest_json(found: Backtest) -> dict[str, object]:
    """Return a backtest for --json."""
    return {
        "calls": found.calls,
        "days": found.days,
        "flips": [_flip_json(flip) for flip in found.flips],
        "loosened": len(found.loosened),
        "approvals_added_per_day": _daily(found.asked, found.days),
        "approvals_removed_per_day": _daily(found.unasked, found.days),
        "newly_unattended": dict(found.unattended),
        "cannot": [{"call": record.call.id, "reason": why} for record, why in found.cannot],
    }


def backtest_lines(found: Backtest, *, signed: bool) -> list[str]:
    """Return a backtest for a person."""
    counts: dict[tuple[str, str, str], int] = {}
    for flip in found.flips:
        key = (flip.record.call.tool, flip.words, flip.now.rule)
        counts[key] = counts.get(key, 0) + 1
    rows = [(tool, words, by, number) for (tool, words, by), number in sorted(counts.items())]
    lines = [
        f"{found.calls} calls in {found.days} days, {len(found.flips)} ruled otherwise.",
        *(output.table(("tool", "ruling", "by", "calls"), rows) if rows else []),
        (
            f"Approvals a day: {_daily(found.asked, found.days)} more, "
            f"{_daily(found.unasked, found.days)} fewer."
        ),
        *(
            f"Newly unattended: {decimal_text(amount)} of {tool}."
            for tool, amount in sorted(found.unattended.items())
        ),
    ]
    if found.cannot:
        lines.append(f"{len(found.cannot)} calls nobody can tell about: {found.cannot[0][1]}.")
    if signed:
        lines.append("Signed off: it is on record who takes this on.")
    return lines


def _flip_json(flip: Flip) -> dict[str, object]:
    call = flip.record.call
    return {
        "call": call.id,
        "run": call.run,
        "tool": call.tool,
        "then": flip.then.severity.word,
        "then_rule": flip.then.rule,
        "now": flip.now.severity.word,
        "now_rule": flip.now.rule,
        "looser": flip.looser,
        "amount": flip.amount,
    }


def _daily(number: int, days: Decimal) -> str:
    return decimal_text((number / days).quantize(Decimal("0.1")))
