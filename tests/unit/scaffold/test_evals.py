"""The scaffold as a newcomer runs it: search and gates are real, only the desk plays a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from staid.cli.eval_run import run_cases
from staid.domain.outcome import Outcome
from staid.evals.dataset import Case, parse_cases
from staid.evals.grader import CaseOutcome, grade
from staid.project.deciding import decide
from staid.project.ingesting import ingest, wanted
from staid.project.loading import load_project
from staid.project.project import Project
from staid.scaffold.write import write

CASES = parse_cases(
    (Path(__file__).parents[3] / "src/staid/scaffold/project/evals/support.jsonl").read_text(
        "utf-8"
    ),
    "support.jsonl",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Write, load and ingest a project, once for this file."""
    loaded = load_project(write(tmp_path_factory.mktemp("scaffold") / "shop"))
    for name in loaded.settings.sources:
        report = ingest(loaded, wanted(loaded, name, None, {}, vetted=True))
        assert not report.skipped
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def seen(project: Project) -> dict[str, CaseOutcome]:
    """Ask the agent `support` every case, as `staid eval run` does."""
    with project.sandbox() as box:
        return dict(run_cases(box, "support", CASES, 4, lambda _: None))


def refunds(project: Project) -> list[str]:
    """Return the orders that were refunded."""
    path = project.settings.directory_path / "refunds.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line)["order_id"] for line in lines]


def ask_desk(project: Project, question: str) -> Outcome:
    """Ask the scripted agent on behalf of a customer."""
    return project.agent_named("desk").ask_sync(question, asker="user:ada")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_quote_model_passes_the_eval_set(seen: dict[str, CaseOutcome], case: Case) -> None:
    """Every case of the shipped eval set passes with the model that needs no key."""
    failed = [item for item in grade(case, seen[case.id]) if not item.passed]
    assert not failed, seen[case.id]


def test_what_exists_for_the_board_alone_looks_like_nothing(seen: dict[str, CaseOutcome]) -> None:
    """The same question: an answer for the board, for a customer no word of what it is about."""
    assert "Tinfold" in seen["poolish-board"].text
    hidden = seen["hidden-poolish"]
    assert (hidden.outcome, hidden.cited) == ("abstention", ())
    assert "Tinfold" not in hidden.text
    assert hidden.confidence is not None
    assert hidden.confidence < 0.2


def test_a_small_refund_runs_and_a_large_one_is_blocked(project: Project) -> None:
    """40 EUR is refunded at once; 5000 EUR never is, and the rule is named."""
    done = ask_desk(project, "Please refund 40.00 EUR for order R-1001")
    blocked = ask_desk(project, "Please refund 5000.00 EUR for order R-1003")
    assert (done.outcome, done.reason) == ("answer", "tool_result")
    assert "Refunded 40 EUR for order R-1001." in done.text
    assert (blocked.outcome, blocked.reason) == ("refusal", "constraint:amount")
    assert "R-1001" in refunds(project)
    assert "R-1003" not in refunds(project)


def test_a_refund_above_100_waits_for_the_lead(project: Project) -> None:
    """240 EUR waits; nothing happens until `user:lead` approves, then it happens once."""
    waiting = ask_desk(project, "Please refund 240.00 EUR for order R-1002")
    assert waiting.outcome == "pending"
    assert "R-1002" not in refunds(project)
    (approval,) = waiting.approvals
    asyncio.run(decide(project, approval, "approve", approver="user:lead"))
    assert refunds(project).count("R-1002") == 1


def test_calendars_are_bounded(project: Project) -> None:
    """A named calendar is booked, an unnamed one is refused, a taken hour is not booked twice."""
    done = ask_desk(project, "Book an onboarding call on 2027-01-12 at 10:00")
    blocked = ask_desk(project, "Book a board call on 2027-01-12 at 10:00")
    taken = ask_desk(project, "Book an onboarding call on 2027-01-12 at 10:30")
    assert "Booked the onboarding calendar for 2027-01-12 09:00 UTC, 60 minutes." in done.text
    assert (blocked.outcome, blocked.reason) == ("refusal", "constraint:calendar")
    assert taken.outcome == "abstention"
    book = project.settings.directory_path / "calendar.jsonl"
    assert len(book.read_text("utf-8").splitlines()) == 1


def test_an_invented_policy_does_not_reach_the_asker(project: Project) -> None:
    """The script claims a guarantee that no document knows; the asker gets a teammate instead."""
    outcome = ask_desk(project, "Do you have a money-back guarantee?")
    assert outcome.outcome == "abstention"
    assert "guarantee" not in outcome.text
    assert outcome.handoff


def test_small_talk_is_canned(project: Project) -> None:
    """Hello gets a vetted reply, without a hand-off."""
    outcome = project.agent_named("support").ask_sync("Hello!", asker="user:ada")
    assert (outcome.outcome, outcome.reason) == ("answer", "canned")
