"""`staid handoffs`, `staid gaps`, `staid feedback`: what happens after an answer or none."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Annotated, Literal

import typer

from staid.cli import output
from staid.cli.ask import AsOption
from staid.cli.readers import note_reading
from staid.domain.errors import HandoffAnswered, HandoffNotFound, UsageInvalid
from staid.domain.events import Content, Event, EventKind
from staid.domain.label import Label
from staid.domain.principal import Actor
from staid.domain.records import Handoff
from staid.domain.text import terms

handoffs_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@handoffs_app.command("list")
def list_handoffs(
    state: Annotated[Literal["open", "answered", "all"], typer.Option()] = "open",
    limit: Annotated[int, typer.Option(min=1, max=output.MOST_LISTED)] = 50,
) -> None:
    """List questions that wait for a teammate, oldest first."""
    found = output.project().wiring.records.handoffs(
        state=None if state == "all" else state, limit=limit
    )
    note_reading("cli handoffs list", *(h.run for h in found))
    rows = [(h.id, h.state, h.reason, h.asker, h.question) for h in found]
    output.emit(
        {"handoffs": [_json(h) for h in found]},
        output.table(("hand-off", "state", "reason", "asker", "question"), rows)
        or ["Nothing waits for a teammate."],
    )


@handoffs_app.command()
def answer(
    handoff: Annotated[str, typer.Argument(metavar="ID")],
    text: Annotated[str, typer.Argument(help="What the teammate answered.")],
    as_: AsOption = "",
) -> None:
    """Record a teammate's answer.

    Example: staid handoffs answer hof_… "Yes, until 18:00" --as user:lead
    """
    if not as_:
        raise UsageInvalid(detail="nobody answers", hint="Say who: --as user:lead")
    wiring = output.project().wiring
    who = wiring.identify(as_, None)
    found = next((h for h in wiring.records.handoffs(limit=100_000) if h.id == handoff), None)
    if found is None:
        raise HandoffNotFound(handoff=handoff)
    now = wiring.clock.now()
    event = Event(
        EventKind.HANDOFF_ANSWERED,
        now,
        Actor("human", who.principal.token, who.via),
        {"handoff": handoff},
        Content({"text": text}, Label.of([[found.asker, who.principal.token]]), found.asker),
    )
    if not wiring.records.answer_handoff(found, who.principal.token, now, [event]):
        raise HandoffAnswered(handoff=handoff)
    output.emit({"id": handoff, "state": "answered"}, [f"{handoff} is answered."])


def gaps(limit: Annotated[int, typer.Option(min=1, max=output.MOST_LISTED)] = 10) -> None:
    """Topics that several open hand-offs share, the most asked first."""
    found = output.project().wiring.records.handoffs(state="open", limit=100_000)
    asked: dict[str, list[Handoff]] = defaultdict(list)
    for handoff in found:
        for term in set(terms(handoff.question)):
            asked[term].append(handoff)
    counts = Counter({term: len(who) for term, who in asked.items()})
    shown = [(t, n, asked[t][0]) for t, n in counts.most_common(limit) if n > 1]
    note_reading("cli gaps", *(example.run for _, _, example in shown))
    top = [(topic, number, example.question) for topic, number, example in shown]
    output.emit(
        {"gaps": [{"topic": t, "handoffs": n, "example": q} for t, n, q in top]},
        output.table(("topic", "hand-offs", "for example"), top)
        or ["No topic is asked twice among the open hand-offs."],
    )


def feedback(
    run: Annotated[str, typer.Argument(metavar="RUN")],
    vote: Annotated[Literal["up", "down"], typer.Argument(help="up or down")],
    comment: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Record a vote and, if given, why.

    Example: staid feedback run_… down --comment "The price is wrong"
    """
    wiring = output.project().wiring
    record = wiring.records.run(run)
    content = Content({"comment": comment}, Label.of([[record.asker]]), record.asker)
    event = Event(
        EventKind.FEEDBACK_GIVEN,
        wiring.clock.now(),
        Actor("human", record.asker, wiring.via),
        {"vote": vote},
        content if comment else None,
    )
    wiring.records.note(run, [event])
    output.emit({"run": run, "vote": vote}, [f"Recorded: {vote}."])


def _json(handoff: Handoff) -> dict[str, object]:
    return {
        "id": handoff.id,
        "run": handoff.run,
        "state": handoff.state,
        "reason": handoff.reason,
        "asker": handoff.asker,
        "question": handoff.question,
        "opened_at": handoff.opened_at,
        "answered_by": handoff.answered_by,
    }
