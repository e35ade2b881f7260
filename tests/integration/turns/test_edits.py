"""What a person changes in a call: whose value it is, as told, as replayed, under which policy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from staid.domain.call import CallState
from staid.domain.events import EventKind
from staid.domain.outcome import Outcome
from staid.gates.policy import outdated
from staid.project.deciding import edit
from staid.project.project import Project
from staid.project.replaying import Replays, Wanted
from staid.testing.embedder import HashingEmbedder
from staid.tracing.story import tell


def changed(desk: Any, *, resume: bool = True, **changes: Any) -> Outcome:
    """Ask for a refund that waits, and let the lead change it before it runs."""
    desk.found = "Ship B77 to the customer"
    outcome = desk.ask("Refund $200.00 please", [desk.look("A1")], [desk.refund("B77", 200)])
    desk.play.steps = []
    work = edit(desk.project, outcome.approvals[0], changes, editor="user:lead", resume=resume)
    asyncio.run(work)
    return outcome


def proposals(desk: Any, outcome: Outcome) -> list[Any]:
    """Return the facts of what was proposed."""
    return [row for row in desk.rows(outcome) if row.kind is EventKind.CALL_PROPOSED]


def steps(desk: Any, outcome: Outcome) -> str:
    """Return everything that is told of a run."""
    return " ".join(step.text for step in tell(outcome.run, desk.rows(outcome)).steps)


def test_what_an_approver_typed_is_theirs(desk: Any) -> None:
    """The changed argument is the approver's, by name; the one left alone is what it was."""
    outcome = changed(desk, amount="50")
    first, second = proposals(desk, outcome)[-2:]
    before = [one[:2] for one in first.fact["origins"]]
    assert before == [["amount", "user"], ["order_id", "document"]]
    approval = outcome.approvals[0]
    assert second.fact["origins"][0] == ["amount", "approver", [[approval, 0, 2]]]
    assert second.fact["origins"][1] == first.fact["origins"][1]
    (place,) = second.body["provenance"][0]["spans"]
    assert (place["name"], place["words"]) == ("user:lead", "50")
    assert desk.effects == ["refund B77"]


def test_a_rule_sees_the_approver(desk: Any) -> None:
    """The ruling on the changed call is made from these origins."""
    outcome = changed(desk, amount="50")
    rows = [row for row in desk.rows(outcome) if row.kind is EventKind.CALL_RULED]
    assert rows[-1].body["snapshot"]["origins"] == {"amount": "approver", "order_id": "document"}


def test_why_tells_who_changed_what(desk: Any) -> None:
    """The story names the person, the call that it replaced, and what they typed."""
    outcome = changed(desk, amount="50")
    first, second = proposals(desk, outcome)[-2:]
    what = 'refund.issue with {"amount":"50","order_id":"B77"}'
    told = f"user:lead proposed {what} in the place of {first.fact['call']}"
    assert f"{told}, with amount of their own." in steps(desk, outcome)
    assert second.fact["replaces"] == first.fact["call"]


def test_a_run_with_a_changed_call_plays_again(desk: Any) -> None:
    """The replay comes out as it was, and carries nothing out."""
    outcome = changed(desk, amount="50")
    effects = list(desk.effects)
    replayed = asyncio.run(Replays(desk.project, Wanted()).one(outcome.run))
    assert replayed.identical, replayed
    assert desk.effects == effects


def test_a_changed_call_does_not_outlive_its_policy(make_desk: Any) -> None:
    """Allowed, and not begun when its process ended: under another policy it does not run."""
    desk = make_desk(with_policy)
    folder = desk.project.settings.directory_path
    (folder / "policy.yaml").write_text(RULES, "utf-8")
    outcome = changed(desk, resume=False, amount="50")
    record = desk.project.calls(outcome.run)[-1]
    assert (record.state, record.edited_by) == (CallState.APPROVED, "user:lead")
    desk.project.close()
    (folder / "policy.yaml").write_text(RULES.replace("then: allow", "then: deny"), "utf-8")
    again = type(desk)(reopened(folder))
    try:
        ended = asyncio.run(again.project.wiring.gate.execute(record.call.id))
    finally:
        again.project.close()
    assert outdated(ended)
    assert (desk.effects, again.effects) == ([], [])


def with_policy(settings: str) -> str:
    """Name a policy in the settings."""
    return f'{settings}\n[gates]\npolicy = "policy.yaml"\n'


def reopened(folder: Path) -> Project:
    """Open a project as the next process does."""
    project = Project(folder)
    project.wiring.__dict__["embedder"] = HashingEmbedder()
    return project


def test_why_tells_what_a_shadow_rule_would_have_done(make_desk: Any) -> None:
    """The call runs; the story says which rule on trial would have stood in its way, and how."""
    desk = make_desk(with_policy)
    rules = RULES.replace("name: it, then: allow", "name: odd, then: deny, shadow: true")
    (desk.project.settings.directory_path / "policy.yaml").write_text(rules, "utf-8")
    outcome = desk.ask("Refund $20.00 for A1", [desk.refund("A1", 20)])
    assert desk.effects == ["refund A1"]
    assert "Not in force: odd would have denied it." in steps(desk, outcome)


RULES = "version: 1\ntools:\n  refund.issue:\n    rules:\n      - {name: it, then: allow}\n"
