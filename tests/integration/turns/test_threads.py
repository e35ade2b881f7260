"""What broke elsewhere around parked turns, thread by thread (docs/evidence/threads.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from staid.domain.outcome import Pending
from staid.store import tables


def test_04_the_answer_never_reached_the_sub_agent(desk: Any) -> None:
    """microsoft/agent-framework #4963.

    A decision reaches the run that asked, by our own ids, and its model gets the result under
    the id of its own call, beside another run of the same call.
    """
    first = desk.ask("refund", [desk.refund("A1", 200, "c1")])
    second = desk.ask("refund", [desk.refund("A1", 200, "c1")])
    done = desk.decide(second.approvals[0], "approve", "")
    assert done.run == second.run
    assert [m.call_id for m in desk.play.seen[0].messages if m.role == "tool"] == ["c1"]
    assert desk.project.wiring.records.run(first.run).state == "parked"
    assert desk.effects == ["refund A1"]


def test_15_the_next_tool_did_not_wait(desk: Any) -> None:
    """google/adk-python #3649, #6198, #3018.

    While one call waits the model is not asked on, and a resume goes on from there instead of
    repeating what ran.
    """
    parked = desk.ask(
        "both", [desk.refund("A1", 40), desk.refund("A2", 200, "c2")], [desk.refund("A3", 30)], ""
    )
    assert isinstance(parked, Pending)
    assert desk.effects == ["refund A1"]
    assert len(desk.play.seen) == 1
    desk.decide(parked.approvals[0], "approve", [desk.refund("A3", 30, "c3")], "")
    assert desk.effects == ["refund A1", "refund A2", "refund A3"]


def test_18_an_approval_was_lost_when_the_model_needed_one_more_step(desk: Any) -> None:
    """langchain-ai/deepagentsjs #725: after the decision the model may look something up first."""
    parked = desk.ask("refund", [desk.refund("A1", 200)])
    done = desk.decide(
        parked.approvals[0], "approve", [desk.look("A1", "c2")], [desk.refund("A2", 50, "c3")], ""
    )
    assert desk.effects == ["refund A1", "refund A2"]
    assert "Refunded 200 for order A1." in done.text


def test_19_an_upgrade_stranded_what_was_parked(desk: Any) -> None:
    """czpython/druks #619, decocms/studio #4143, dbos-transact-py #805, #702.

    A run that was parked by an older release, under other instructions, goes on after ninety
    days.
    """
    parked = desk.ask("refund", [desk.refund("A1", 200)])
    store = desk.project.wiring.run_store
    table = tables.parked.c
    with store.write() as connection:
        state = connection.execute(select(table.state).where(table.run == parked.run)).scalar_one()
        older = state.replace(
            ',"known":', ',"of a later release":'
        )  # as its first release wrote it
        connection.execute(update(tables.parked).values(state=older))
    desk.project.settings.agents["desk"].__dict__["instructions"] = "new.md"
    (desk.project.settings.directory_path / "new.md").write_text("Be brief.", "utf-8")
    approval = desk.project.wiring.ledger.approval(parked.approvals[0])
    assert approval.expires_at - approval.requested_at >= timedelta(days=7)
    done = desk.decide(parked.approvals[0], "approve", "")
    assert (done.outcome, desk.effects) == ("answer", ["refund A1"])
