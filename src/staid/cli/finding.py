"""`staid runs list`, `staid runs stats` and `staid why --text`: runs found again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import typer

from staid.cli import output
from staid.cli.readers import note_reading
from staid.domain.errors import NothingSaid, UsageInvalid, WhoMalformed
from staid.domain.finding import Ended, RunSearch, Said
from staid.domain.moment import check_order, moment
from staid.domain.records import RunRecord
from staid.project.interrupting import interrupted_among
from staid.store.interrupted import INTERRUPTED
from staid.tracing.days import days, summary

Since = Annotated[
    str | None, typer.Option(metavar="WHEN", help="From then on: 2026-05-01, or 7d ago as 7d.")
]
Until = Annotated[str | None, typer.Option(metavar="WHEN", help="Before then.")]
Text = Annotated[
    str | None, typer.Option(help="Words in a row that were asked or said; the last may be begun.")
]
To = Annotated[str | None, typer.Option(metavar="WHO", help="Said to whom: user:ada.")]

_WHO = re.compile(r"(user|service|agent):.+|sub_[0-9a-f]{32}")
MOST = 100
"""Runs that are counted where several fit."""


def when(value: str | None) -> datetime | None:
    """Return the moment that an option names; raise `MomentMalformed`."""
    return None if value is None else moment(value, output.project().wiring.clock.now())


def who(value: str | None) -> str | None:
    """Return the asker that an option names; raise `WhoMalformed` where it can be nobody's name."""
    if value is None or _WHO.fullmatch(value):
        return value
    raise WhoMalformed(value=f"“{value}”")


def list_runs(  # noqa: PLR0913 - one parameter for each option
    *,
    limit: Annotated[
        int, typer.Option(min=1, max=output.MOST_LISTED, help="How many, newest first.")
    ] = 20,
    after: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on behind this run: the next page.")
    ] = None,
    state: Annotated[
        Literal["running", "parked", "released", "failed", "external", "imported", "interrupted"]
        | None,
        typer.Option(help="Only runs in this state."),
    ] = None,
    asker: Annotated[str | None, typer.Option(metavar="WHO", help="Who asked: user:ada.")] = None,
    agent: Annotated[str | None, typer.Option()] = None,
    outcome: Annotated[
        Literal["answer", "abstention", "refusal", "pending"] | None, typer.Option()
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Of the outcome: weak, canned, …")] = None,
    rule: Annotated[str | None, typer.Option(help="A rule that ruled on a call.")] = None,
    tool: Annotated[str | None, typer.Option(help="A tool that was proposed.")] = None,
    document: Annotated[
        str | None, typer.Option(help="A document that was read: ID, SOURCE/ID, ID@VERSION.")
    ] = None,
    since: Since = None,
    until: Until = None,
    confidence_below: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    text: Text = None,
) -> None:
    """List the newest runs that fit. `--state interrupted` shows those that a crash cut off.

    Example: staid runs list --outcome abstention --since 7d --text "annual plan"
    """
    search = RunSearch(
        asker=who(asker),
        agent=agent,
        outcome=outcome,
        reason=reason,
        state=state,
        rule=rule,
        tool=tool,
        document=document,
        since=when(since),
        until=when(until),
        confidence_below=confidence_below,
        text=text,
        after=after,
        limit=limit,
    )
    project = output.project()
    if state == INTERRUPTED:
        found = interrupted_among(project, search)
    else:
        found = project.wiring.search.runs(search)
    more = found[-1].run if len(found) == limit else None
    nothing = [
        'No runs yet: staid ask "…" --as user:ada'
        if search == RunSearch(limit=limit)
        else "No run fits."
    ]
    lines = runs_table(found)
    if more:
        lines += ["", f"The next page: the same with --after {more}"]
    output.emit({"runs": [record_json(r) for r in found], "next": more}, lines or nothing)


def runs_table(found: Sequence[RunRecord]) -> list[str]:
    """Return runs for a person, one a line."""
    head = ("run", "started (UTC)", "outcome", "asker", "reason", "state")
    return output.table(head, [_row(record) for record in found])


def _row(r: RunRecord) -> tuple[str, ...]:
    started = f"{r.started_at:%Y-%m-%d %H:%M}"
    return (r.run, started, r.outcome or "-", r.asker, r.reason or "-", r.state)


def record_json(record: RunRecord) -> dict[str, object]:
    """Return a run as it stands, for `--json`."""
    return {
        "run": record.run,
        "conversation": record.conversation,
        "agent": record.agent,
        "asker": record.asker,
        "state": record.state,
        "outcome": record.outcome,
        "reason": record.reason,
        "confidence": record.confidence,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
    }


# --- what was said -------------------------------------------------------------------------


def run_told(run: str | None, text: str | None, to: str | None) -> str | None:
    """Return the one run that is meant; None when several fit, which are then listed.

    Raises `NothingSaid` where none fits, `UsageInvalid` unless one way is used to name it.
    """
    if text is None:
        if run is None or to is not None:
            hint = 'staid why RUN, or: staid why --text "words that were said" --to user:ada'
            raise UsageInvalid(detail="it is not said which run", hint=hint)
        return run
    if run is not None:
        raise UsageInvalid(detail="a run's id and --text are two ways", hint="Use one of them.")
    search = output.project().wiring.search
    found = search.said(text, to=who(to), limit=MOST + 1)
    if not found:
        raise NothingSaid(text=f"“{text}”", to=f" to {to}" if to else "")
    runs = list(dict.fromkeys(said.run for said in found))
    if len(runs) > 1:
        _tell_several(runs, found)
        return None
    return runs[0]


def _tell_several(runs: Sequence[str], found: Sequence[Said]) -> None:
    wiring = output.project().wiring
    many, shown = len(runs) > MOST, runs[:20]
    note_reading("cli why", *shown)
    places = {said.run: said for said in reversed(found)}
    texts = wiring.journal.content([places[run].content for run in shown])
    records = [wiring.records.run(run) for run in shown]
    words = {run: _words(texts.get(places[run].content, {})) for run in shown}
    value = [
        {
            **record_json(r),
            "seq": places[r.run].seq,
            "role": places[r.run].role,
            "text": words[r.run],
        }
        for r in records
    ]
    head = ("run", "started", "to", "who", "words")
    rows = [
        (r.run, f"{r.started_at:%Y-%m-%d}", r.asker, places[r.run].role, words[r.run])
        for r in records
    ]
    count = f"More than {MOST}" if many else str(len(runs))
    lines = [f"{count} runs fit, newest first. One of them: staid why RUN", ""]
    body = {"runs": value, "matches": min(len(runs), MOST), "more": many}
    output.emit(body, [*lines, *output.table(head, rows)])


def _words(body: dict[str, object]) -> str:
    return next((str(body[n]) for n in ("question", "text", "comment") if body.get(n)), "(erased)")


# --- how runs ended ------------------------------------------------------------------------


def stats(
    since: Since = "30d",
    until: Until = None,
    agent: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Count runs by day: outcomes, failures, tokens, cost, waiting. Days are in UTC.

    Example: staid runs stats --since 7d --agent support
    """
    first, last = when(since), when(until)
    check_order(first, last)
    found = output.project().wiring.search.ended(since=first, until=last, agent=agent)
    by_day = days(found)
    each_day = [{"day": day, **summary(each)} for day, each in by_day.items()]
    value = {"days": each_day, "total": summary(found)}
    head = (
        "day",
        "runs",
        "answers",
        "abstained",
        "refused",
        "failed",
        "confidence",
        "wait s",
        "cost",
    )
    rows = [_day_row(day, each) for day, each in [*by_day.items(), ("total", found)]]
    output.emit(value, output.table(head, rows) if found else ["No run ended in that time."])


def _day_row(day: str, found: Sequence[Ended]) -> tuple[object, ...]:
    told = summary(found)
    counts, rate = told["outcomes"], told["abstention_rate"]
    abstained = f"{counts['abstention']} ({rate:.0%})" if rate is not None else "-"
    means = (f"{told['confidence'] or 0:.2f}", f"{told['latency_s'] or 0:.2f}")
    ended = (counts["answer"], abstained, counts["refusal"], counts["failed"])
    return (day, told["runs"], *ended, *means, f"{told['cost']:f}")
