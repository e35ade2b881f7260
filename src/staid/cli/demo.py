"""`staid demo`: the whole product in one minute, on real parts, with no key and no network."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from staid.cli import output
from staid.cli.why import story_lines
from staid.domain.errors import ApprovalDecided
from staid.domain.outcome import Outcome
from staid.project.deciding import decide
from staid.project.ingesting import ingest, wanted
from staid.project.loading import load_project
from staid.project.project import Project
from staid.project.searching import search
from staid.tracing.story import story_json, tell

KNOWN = "What is your refund policy on annual plans?"
UNKNOWN = "Do you rent out dough mixers?"
TOO_MUCH = "Please refund 5000.00 EUR for order R-1003"
ABOVE = "Please refund 240.00 EUR for order R-1002"
REAL = ("STRIPE_API_KEY", "CALDAV_URL")
HIDDEN = "What is Project Poolish?"


def demo(
    keep: Annotated[
        Path | None, typer.Option(help="Leave the project in this folder, to go on with it.")
    ] = None,
) -> None:
    """Scaffolds a project in a temporary place, and shows what each promise looks like."""
    from staid.scaffold.write import write

    with tempfile.TemporaryDirectory(prefix="staid-demo-") as temporary:
        made = write(keep or Path(temporary) / "bakery-help")
        with _on_paper():
            project = load_project(made)
        show = _Show()
        try:
            _run(project, show)
        finally:
            project.close()
        if keep:
            show.lines(
                [
                    f"The project is in {keep}. Go on there:",
                    f"  cd {keep} && staid serve --as user:lead",
                ]
            )
    if output.as_json():
        output.emit({"steps": show.steps}, [])


@contextmanager
def _on_paper() -> Generator[None]:
    """Hide what the scaffold's tools would use for real: a demo moves no money, whoever's key."""
    hidden = {name: os.environ.pop(name) for name in REAL if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


@dataclass(slots=True)
class _Show:
    """Tells each step when it happens; under `--json` collects instead."""

    steps: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def step(self, title: str, why: str, value: object) -> None:
        self.steps.append({"step": title, "value": value})
        number = len(self.steps)
        self.lines(["", f"{number}. {title}", *output.paragraph(why, "   "), ""])

    def lines(self, lines: list[str]) -> None:
        if not output.as_json():
            output.emit(None, lines)

    def outcome(self, asked: str, by: str, outcome: Outcome) -> None:
        self.lines(output.paragraph(f"{by}: {asked}", "   | "))
        self.lines(output.outcome_lines(outcome, "     "))


def _run(project: Project, show: _Show) -> None:
    show.lines(["Staid demo: a bakery-software help desk. No key, no server, no network."])
    _ingest(project, show)
    _answer(project, show)
    _abstain(project, show)
    _block(project, show)
    waiting = _park(project, show)
    _approve(project, show, waiting)
    _hidden(project, show)
    _why(project, show, waiting.run)
    show.lines(["", "Next: staid init help-desk && cd help-desk && staid ingest"])


def _ingest(project: Project, show: _Show) -> None:
    names = sorted(project.settings.sources)
    with output.progress("reading and embedding the help centre", None) as advance:
        reports = [
            ingest(
                project,
                wanted(project, name, None, {}, vetted=True),
                progress=lambda p: advance(p.chunks),
            )
            for name in names
        ]
    documents = sum(r.documents for r in reports)
    chunks = sum(r.chunks for r in reports)
    show.step(
        "It reads a vetted knowledge base, with the rights of every document.",
        f"{documents} documents, {chunks} chunks, embedded on this machine.",
        {"documents": documents, "chunks": chunks},
    )


def _ask(project: Project, agent: str, question: str, asker: str) -> Outcome:
    return project.agent_named(agent).ask_sync(question, asker=asker)


def _answer(project: Project, show: _Show) -> None:
    outcome = _ask(project, "support", KNOWN, "user:ada")
    show.step(
        "It answers what it knows, word for word from a source it names.",
        "The answer is made of sentences of the document; nothing is made up.",
        output.outcome_json(outcome),
    )
    show.outcome(KNOWN, "Ada asks", outcome)


def _abstain(project: Project, show: _Show) -> None:
    outcome = _ask(project, "support", UNKNOWN, "user:ada")
    show.step(
        "It abstains where it does not know, and a teammate gets the question.",
        "Confidence is the calibrated probability that what was found answers the question.",
        output.outcome_json(outcome),
    )
    show.outcome(UNKNOWN, "Ada asks", outcome)


def _block(project: Project, show: _Show) -> None:
    outcome = _ask(project, "desk", TOO_MUCH, "user:ada")
    show.step(
        "It blocks a call outside its bounds.",
        "Refunds are at most 500. The agent `desk` plays a script instead of a model (so it is "
        "labelled); the gate behind it is the real one. Nobody can approve past a bound.",
        output.outcome_json(outcome),
    )
    show.outcome(TOO_MUCH, "Ada asks", outcome)


def _park(project: Project, show: _Show) -> Outcome:
    outcome = _ask(project, "desk", ABOVE, "user:ada")
    show.step(
        "It parks a call above the threshold until a human decides.",
        "Within bounds, but above 100: the run waits, through restarts and upgrades.",
        output.outcome_json(outcome),
    )
    show.outcome(ABOVE, "Ada asks", outcome)
    return outcome


def _approve(project: Project, show: _Show, waiting: Outcome) -> None:
    approval = waiting.approvals[0]
    decided = asyncio.run(
        decide(project, approval, "approve", approver="user:lead", reason="Checked the order.")
    )
    second = _second_click(project, approval)
    show.step(
        "The lead approves; it happens once, and a second click changes nothing.",
        "Executed arguments = approved arguments, at most once, whatever crashes in between.",
        {
            "approval": decided.approval.state.value,
            "outcome": output.outcome_json(decided.outcome) if decided.outcome else None,
            "second_click": second,
        },
    )
    if decided.outcome:
        show.outcome(f"staid approvals approve {approval}", "The lead types", decided.outcome)
    show.lines([*output.paragraph(f"second click: {second}", "     ")])


def _second_click(project: Project, approval: str) -> str:
    try:
        asyncio.run(decide(project, approval, "approve", approver="user:lead"))
    except ApprovalDecided as error:
        return str(error)
    return "it was accepted twice"


def _hidden(project: Project, show: _Show) -> None:
    hers = _ask(project, "support", HIDDEN, "user:ada")
    theirs = _ask(project, "support", HIDDEN, "user:bea")
    seen = [h.passage.document for h in search(project, HIDDEN, "user:ada", None, 100).hits]
    hidden = [d.id for d in project.wiring.corpus.documents() if d.id.startswith("board/")]
    show.step(
        "A document that Ada may not see is answered as if it did not exist.",
        "The board's document changes nothing in what Ada gets: not ids, order, numbers or words.",
        {"ada": output.outcome_json(hers), "board": output.outcome_json(theirs)},
    )
    show.outcome(HIDDEN, "Ada, a customer, asks", hers)
    show.outcome(HIDDEN, "Bea, of the board, asks", theirs)
    among = sorted(set(seen) & set(hidden))
    show.lines(
        ["", f"     board documents in Ada's search of everything: {len(among)} of {len(hidden)}"]
    )


def _why(project: Project, show: _Show, run: str) -> None:
    story = tell(run, project.wiring.records.rows(run))
    show.step(
        "It can say why, from facts recorded before anybody saw the outcome.",
        f"staid why {run}",
        story_json(story),
    )
    show.lines(story_lines(story))
