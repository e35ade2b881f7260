"""`staid replay`: a run again from its record, as it was or with one thing changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from staid.cli import output
from staid.cli.readers import note_reading
from staid.domain.call import Ruling
from staid.domain.errors import UsageInvalid
from staid.project.replaying import Replayed, Replays, Summary, Told, Wanted, moment
from staid.runtime.replay.gate import Ruled

T = TypeVar("T")
SHOWN = 20
"""Runs that came out otherwise and are listed for a person; --json lists all."""


def replay(  # noqa: PLR0913 - one option for each thing that can be changed
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run's id: run_…")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Every run.")] = False,
    since: Annotated[
        str | None, typer.Option(help="With --all: runs from then on, 2026-05-01 or 7d.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="Other instructions: a file, or NAME@VERSION.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Let this model answer: quote, scripted:FILE, openai:…")
    ] = None,
    floor: Annotated[float | None, typer.Option(min=0, max=1, help="Another floor.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="now: rule by the bounds of today; or by a policy FILE.")
    ] = None,
    index: Annotated[str | None, typer.Option(help="now: search what is stored today.")] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out a passage or document; repeatable.")
    ] = None,
    deny: Annotated[list[str] | None, typer.Option(help="Stop a tool; repeatable.")] = None,
) -> None:
    """Nothing is carried out, ever: results come from the record, and so does the model.

    Without an option: identical, or the first fact that came out otherwise and why (exit 1).
    With options: outcome, rulings and what decided, then and now.
    Example: staid replay run_01K… --floor 0.7
    """
    _check(
        run,
        all_=all_,
        since=since,
        now={"policy": None if _file(policy) else policy, "index": index},
    )
    wanted = Wanted(
        prompt=_instructions(prompt) if prompt else None,
        model=model,
        floor=floor,
        policy=policy is not None,
        rules=_file(policy),
        index=index is not None,
        without=frozenset(without or ()),
        deny=frozenset(deny or ()),
    )
    replays = Replays(output.project(), wanted)
    if run is None:
        _every(replays, wanted, since)
    else:
        replayed = _run(replays.one(run))
        note_reading("cli replay", run)
        _one(replayed, wanted)


def _check(run: str | None, *, all_: bool, since: str | None, now: dict[str, str | None]) -> None:
    if all_ == (run is not None):
        raise UsageInvalid(detail="name one run, or --all", hint="staid replay --help")
    if since is not None and not all_:
        raise UsageInvalid(detail="--since goes with --all", hint="staid replay --help")
    for name, given in now.items():
        if given not in {None, "now"}:
            takes = "now or a policy file that is there" if name == "policy" else "now"
            detail = f"--{name} takes {takes}, not {given}"
            raise UsageInvalid(detail=detail, hint=f"staid replay RUN --{name} now")


def _file(policy: str | None) -> Path | None:
    path = Path(policy) if policy is not None and policy != "now" else None
    return path if path is not None and path.is_file() else None


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _instructions(named: str) -> tuple[str, str]:
    """Return name and text of a file, or of a version that was used before."""
    path = Path(named)
    if path.is_file():
        try:
            return named, path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageInvalid(
                detail=f"the instructions in {named} cannot be read as UTF-8 text",
                hint="Save them as UTF-8, readable for you; or name a version: NAME@VERSION.",
            ) from error
    found = output.project().wiring.prompts.find(named)
    return found.name, found.text


def _one(replayed: Replayed, wanted: Wanted) -> None:
    if wanted.nothing:
        output.emit(exact_json(replayed), lambda: exact_lines(replayed))
        if not replayed.identical:
            raise typer.Exit(1)
        return
    output.emit(changed_json(replayed), lambda: changed_lines(replayed))


def _every(replays: Replays, wanted: Wanted, since: str | None) -> None:
    with output.progress("replaying", None) as advance:
        summary = _run(replays.every(moment(since) if since else None, advance))
    note_reading("cli replay", *(replayed.run for replayed in summary.changed))
    shape = exact_json if wanted.nothing else changed_json
    value = {
        "runs": summary.runs,
        "same": summary.same,
        "changed": [shape(replayed) for replayed in summary.changed],
        "flipped_calls": sum(len(replayed.flips) for replayed in summary.changed),
        "cannot": [{"run": run, "reason": reason} for run, reason in summary.cannot],
    }
    output.emit(value, lambda: _summary_lines(summary, wanted))
    if wanted.nothing and summary.changed:
        raise typer.Exit(1)


def exact_json(replayed: Replayed) -> dict[str, object]:
    """Return a replay as it was, for --json."""
    found = replayed.divergence
    divergence = None
    if found is not None:
        divergence = {name: getattr(found, name) for name in found.__slots__}
    return {
        "run": replayed.run,
        "identical": replayed.identical,
        "facts": replayed.facts,
        "divergence": divergence,
    }


def exact_lines(replayed: Replayed) -> list[str]:
    """Return the same for a person."""
    found = replayed.divergence
    if found is None:
        return [f"{replayed.run}: identical, {replayed.facts} facts made again."]
    return [
        f"{replayed.run}: not identical.",
        *output.paragraph(
            f"Fact {found.seq} ({found.kind}) differs in {found.part}: the {found.cause} changed.",
            "  ",
        ),
        *output.paragraph(f"then: {_short(found.then)}", "  "),
        *output.paragraph(f"now:  {_short(found.now)}", "  "),
    ]


def changed_json(replayed: Replayed) -> dict[str, object]:
    """Return what would have been, for --json."""
    return {
        "run": replayed.run,
        "changed": replayed.changed,
        "then": _told_json(replayed.then),
        "now": _told_json(replayed.now) if replayed.now else None,
        "rulings": [_ruled_json(ruled) for ruled in replayed.rulings],
        "assumed": replayed.assumed,
        "unknown": replayed.unknown,
    }


def changed_lines(replayed: Replayed) -> list[str]:
    """Return the same for a person: only what differs, then and now."""
    lines = [f"{replayed.run}: {'changed' if replayed.changed else 'the same'}."]
    then, now = replayed.then, replayed.now
    if now is not None and replace(now, decided=None) != replace(then, decided=None):
        lines += _sides("outcome", _ending(then), _ending(now))
        lines += _sides("text", then.text, now.text)
        lines += _sides("evidence", ", ".join(then.evidence), ", ".join(now.evidence))
        lines += _sides("decided", then.decided or "-", now.decided or "-")
    for ruled in replayed.flips:
        was = f"{ruled.then.severity.word} ({ruled.then.rule})" if ruled.then else "not made"
        lines += [f"  {ruled.tool} {ruled.call}"]
        lines += output.paragraph(f"then: {was}", "    ")
        is_now = f"{ruled.now.severity.word} ({ruled.now.rule}): {ruled.now.message}"
        lines += output.paragraph(f"now:  {is_now}", "    ")
    if replayed.assumed:
        lines += output.paragraph(
            "The model would be sent something else now; its recorded draft was held against "
            "what changed. Name --model to let one answer."
        )
    return lines


def _sides(what: str, then: str, now: str) -> list[str]:
    if then == now:
        return []
    return [
        f"  {what}",
        *output.paragraph(f"then: {then}", "    "),
        *output.paragraph(f"now:  {now}", "    "),
    ]


def _ending(run: Told) -> str:
    reason = f" ({run.reason})" if run.reason else ""
    numbers = f", confidence {run.confidence:.2f}" if run.confidence is not None else ""
    return f"{run.outcome or 'none'}{reason}{numbers}"


def _summary_lines(summary: Summary, wanted: Wanted) -> list[str]:
    word = "not identical" if wanted.nothing else "changed"
    flips = sum(len(replayed.flips) for replayed in summary.changed)
    lines = [f"{summary.runs} runs: {summary.same} the same, {len(summary.changed)} {word}."]
    if flips:
        lines.append(f"{flips} calls are ruled otherwise.")
    tell: Callable[[Replayed], list[str]] = exact_lines if wanted.nothing else changed_lines
    for replayed in summary.changed[:SHOWN]:
        lines += ["", *tell(replayed)]
    if len(summary.changed) > SHOWN:
        lines += ["", f"… and {len(summary.changed) - SHOWN} more: --json lists all"]
    if summary.cannot:
        run, reason = summary.cannot[0]
        told = f"{len(summary.cannot)} cannot be replayed, {run} among them: {reason}"
        lines += ["", *output.paragraph(told)]
    return lines


def _told_json(run: Told) -> dict[str, object]:
    return {
        "outcome": run.outcome,
        "reason": run.reason,
        "text": run.text,
        "confidence": run.confidence,
        "floor": run.floor,
        "evidence": list(run.evidence),
        "decided": run.decided,
    }


def _ruled_json(ruled: Ruled) -> dict[str, object]:
    return {
        "call": ruled.call,
        "tool": ruled.tool,
        "arguments": dict(ruled.arguments),
        "then": _ruling_json(ruled.then) if ruled.then else None,
        "now": _ruling_json(ruled.now),
        "flipped": ruled.flipped,
    }


def _ruling_json(ruling: Ruling) -> dict[str, object]:
    return {"ruling": ruling.severity.word, "rule": ruling.rule, "message": ruling.message}


def _short(value: object) -> str:
    text = output.dumps(value)
    return text if len(text) <= 300 else f"{text[:299]}…"
