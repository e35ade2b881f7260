"""Models that fail, processes that die, resumes that race: nothing twice, nothing hidden."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from staid.domain.errors import AskerDisabled, ModelUnavailable, RunBusy, RunInterrupted, StoreFull
from staid.domain.events import EventKind
from staid.domain.message import ModelRequest, ModelResponse
from staid.domain.outcome import Answer
from staid.project.deciding import decide
from staid.project.working import work_once
from staid.tracing.story import tell

ASKED = "Are annual plans refunded within 30 days of the purchase?"


class PowerCut(BaseException):
    """Ends the process, as far as everything below a test is concerned."""


def test_a_model_that_fails_after_an_effect_does_not_hide_it(desk: Any) -> None:
    """What was done is told although the model is gone; the same key repeats nothing."""
    step = [desk.refund("A1", 40)]
    outcome = desk.ask("refund 40", step, ModelUnavailable(detail="gone"), key="k")
    assert isinstance(outcome, Answer)
    assert outcome.text == "Refunded 40 for order A1."
    again = desk.ask("refund 40", step, "", key="k")
    assert (again, desk.effects) == (outcome, ["refund A1"])


def test_a_failed_run_frees_its_key_only_if_it_did_nothing(desk: Any) -> None:
    """A retry under the same key runs after a harmless failure, and is refused after an effect."""
    with pytest.raises(ModelUnavailable):
        desk.ask("refund 40", ModelUnavailable(detail="gone"), key="k")
    assert desk.ask("refund 40", [desk.refund("A1", 40)], "", key="k").outcome == "answer"
    with pytest.raises(ZeroDivisionError):
        desk.ask("refund 41", [desk.refund("A2", 41)], ZeroDivisionError(), key="other")
    with pytest.raises(RunInterrupted):
        desk.ask("refund 41", [desk.refund("A2", 41)], "", key="other")
    assert desk.effects == ["refund A1", "refund A2"]
    found = desk.project.wiring.records.runs()
    assert [run.state for run in found] == ["failed", "released", "failed"]
    assert [run.reason for run in found] == [
        "ZeroDivisionError", "tool_result", ModelUnavailable.code,
    ]  # fmt: skip


def test_what_a_failure_is_called_is_a_fact_and_its_words_are_not(desk: Any) -> None:
    """The story, the roll-up and the row name the code; the words of an exception stay out."""
    with pytest.raises(ValueError, match="Zuckerkandl"):
        desk.ask("refund 40", ValueError("order of Zuckerkandl"), key="k")
    wiring = desk.project.wiring
    [run] = wiring.records.runs(state="failed")
    rows = wiring.records.rows(run.run)
    assert (rows[-1].kind, rows[-1].fact) == (EventKind.RUN_FAILED, {"error": "ValueError"})
    assert "Zuckerkandl" not in str(rows)
    told = " ".join(sentence.text for sentence in tell(run.run, rows).sentences)
    assert "the run failed with ValueError, and nothing was released" in told
    assert [(e.outcome, e.reason) for e in wiring.search.ended()] == [("failed", "ValueError")]


def crash(desk: Any, monkeypatch: pytest.MonkeyPatch, *steps: Any) -> None:
    """Let the process die when the outcome is about to be released."""

    def die(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(desk.project.wiring.records, "release", die)
        patch.setattr(desk.project.wiring.records, "fail", die)
        with pytest.raises(PowerCut):
            desk.ask("refund 40", *steps, key="k")


@pytest.mark.parametrize("acted", [False, True])
def test_the_key_of_a_crashed_run(
    desk: Any,
    monkeypatch: pytest.MonkeyPatch,
    acted: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """It is busy first; later a run that did nothing makes room, one that acted says so."""
    crash(desk, monkeypatch, *([[desk.refund("A1", 40)]] if acted else []), "")
    assert [r.state for r in desk.project.wiring.records.runs(state="running")] == ["running"]
    with pytest.raises(RunBusy):
        desk.ask("refund 40", [desk.refund("A1", 40)], "", key="k")
    desk.wait(timedelta(hours=1))
    if acted:
        with pytest.raises(RunInterrupted):
            desk.ask("refund 40", [desk.refund("A1", 40)], "", key="k")
    else:
        assert desk.ask("refund 40", [desk.refund("A1", 40)], "", key="k").outcome == "answer"
    assert desk.effects == ["refund A1"]


def test_a_resume_that_was_cut_off_repeats_nothing(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that a resume made before it died are told by the next one, and not made again."""
    parked = desk.ask("refund", [desk.refund("A1", 200)])

    def die(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(desk.project.wiring.records, "release", die)
        with pytest.raises(PowerCut):
            desk.decide(parked.approvals[0], "approve", [desk.refund("A2", 40, "c2")], "")
    assert desk.effects == ["refund A1", "refund A2"]
    assert asyncio.run(work_once(desk.project)).resumed == ()  # the dead one's claim still holds
    desk.play.steps = [[desk.refund("A2", 40, "c2")], ""]
    desk.wait(timedelta(hours=1))
    assert asyncio.run(work_once(desk.project)).resumed == (parked.run,)
    assert desk.effects == ["refund A1", "refund A2"]
    record = desk.project.wiring.records.run(parked.run)
    assert (record.state, record.outcome) == ("released", "answer")


def test_a_resume_that_fails_can_be_tried_again_at_once(desk: Any) -> None:
    """A resume that fails gives its claim back, so that nobody waits for it to lapse."""
    parked = desk.ask("refund", [desk.refund("A1", 200)])
    with pytest.raises(ModelUnavailable):
        desk.decide(parked.approvals[0], "deny", ModelUnavailable(detail="gone"))
    desk.play.steps = [""]
    assert asyncio.run(work_once(desk.project)).resumed == (parked.run,)


def test_two_resumes_at_once_in_one_process(desk: Any) -> None:
    """Only one of two carries the run on; the other is told, so nothing new is proposed twice."""
    parked = desk.ask("refund", [desk.refund("A1", 200)])
    approval = parked.approvals[0]
    decided = decide(desk.project, approval, "approve", approver="user:lead", resume=False)
    asyncio.run(decided)
    desk.play.steps = [[desk.refund("A2", 40, "c2")], "", [desk.refund("A2", 40, "c3")], ""]

    async def both() -> Sequence[Any]:
        agent = desk.project.agent_named("desk")
        first: Awaitable[Any] = agent.resume(parked.run)
        second: Awaitable[Any] = agent.resume(parked.run)
        return await asyncio.gather(first, second, return_exceptions=True)

    ended = asyncio.run(both())
    assert sorted(type(e).__name__ for e in ended) in (["Answer", "RunBusy"], ["Answer", "Answer"])
    assert desk.effects == ["refund A1", "refund A2"]


def test_an_asker_disabled_meanwhile_gets_nothing_done(desk: Any) -> None:
    """Who asks is asked again on resume: a disabled asker's approved call is not executed."""
    parked = desk.ask("refund", [desk.refund("A1", 200)])
    file = desk.project.settings.path("directory.yaml")
    file.write_text(file.read_text().replace("user:ada: {", "user:ada: {disabled: true, "))
    with pytest.raises(AskerDisabled):
        desk.decide(parked.approvals[0], "approve", "")
    assert desk.effects == []


def test_a_store_that_cannot_record_gives_nobody_an_answer(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the release cannot be written the caller gets the error, not the outcome."""

    def full(*_: object) -> None:
        raise StoreFull

    with monkeypatch.context() as patch:
        patch.setattr(desk.project.wiring.records, "release", full)
        with pytest.raises(StoreFull):
            desk.ask(ASKED, agent="support")
    assert [run.state for run in desk.project.wiring.records.runs()] == ["failed"]
    assert desk.ask(ASKED, agent="support").outcome == "answer"


def test_a_cancelled_turn_is_recorded_as_failed(desk: Any) -> None:
    """Whoever hangs up leaves a failed run, not one that seems to go on for ever."""

    class Slow:
        name = "slow"

        def __init__(self) -> None:
            self.started = asyncio.Event()

        async def generate(self, request: ModelRequest) -> ModelResponse:
            self.started.set()
            await asyncio.sleep(3600)
            return ModelResponse("", (), self.name)

    async def hang_up() -> None:
        desk.play = slow = Slow()
        task = asyncio.create_task(desk.project.agent_named("desk").ask(ASKED, asker="user:ada"))
        await slow.started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(hang_up())
    assert [run.state for run in desk.project.wiring.records.runs()] == ["failed"]
