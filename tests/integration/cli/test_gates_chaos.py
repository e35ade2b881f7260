"""`gates chaos`: kill -9 around a project's own handler, on a store that is thrown away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

ARGUMENTS = '{"order_id": "A1", "amount": "1"}'
CHAOS = ("gates", "chaos", "refund.issue", "--arguments", ARGUMENTS)
POINTS, UNDO_POINTS = 12, 8
TAKE_BACK = """

def take_back(p: Refund, call: staid.Call) -> None:
    with EFFECTS.open("a") as file:
        file.write(f"back {p.order_id}\\n")

"""


def probe(folder: Path, answer: str) -> None:
    """Give the refund tool a probe that answers like this, and a counter beside it."""
    agent = folder / "agent.py"
    text = agent.read_text("utf-8").replace(
        "    requires_approval=lambda p: p.amount > 100,\n",
        f"    requires_approval=lambda p: p.amount > 100,\n    reconcile={answer},\n",
    )
    agent.write_text(text, "utf-8")


def test_nothing_runs_unless_it_is_meant(ready: Run, folder: Path) -> None:
    """Without --really the handler never starts, and the error says what would happen."""
    said = ready(*CHAOS)
    assert (said.code, said.error["code"]) == (2, "ST-454")
    assert not (folder / "effects.txt").exists()


@pytest.mark.chaos
def test_every_point_is_shot_at_and_nothing_happens_twice(ready: Run, folder: Path) -> None:
    """Twelve deaths and one life: each call takes effect at most once, as the world saw too."""
    said = ready(*CHAOS, "--really")
    assert said.code == 0
    assert said.body["ok"] is True
    assert said.body["calls"] == POINTS + 1
    assert said.body["most_effects"] == 1
    states = {shot["point"]: (shot["effects"], shot["state"]) for shot in said.body["shots"]}
    assert states[None] == (1, "done")
    assert states["effect.before"] == (0, "in_doubt")
    assert states["effect.after"] == (1, "in_doubt")
    world = (folder / "effects.txt").read_text("utf-8").splitlines()
    assert len(world) == sum(shot["effects"] for shot in said.body["shots"])
    assert ready("approvals", "list").body["approvals"] == []


@pytest.mark.chaos
def test_an_undo_is_shot_at_too_and_a_breaker_hides_nothing(ready: Run, folder: Path) -> None:
    """A tool that rests after two failures still meets every point; its undo runs at most once.

    What a shot left is taken back, so that nothing of it remains in the world.
    """
    agent = folder / "agent.py"
    before, after = agent.read_text("utf-8").split('\n@project.tool(\n    "refund.issue"')
    bounds = "    breaker=staid.Breaker(failures=2),\n    undo=take_back,\n    requires_approval"
    after = after.replace("    requires_approval", bounds, 1)
    agent.write_text(f'{before}{TAKE_BACK}\n@project.tool(\n    "refund.issue"{after}', "utf-8")
    said = ready(*CHAOS, "--really")
    assert (said.code, said.body["ok"], said.body["calls"]) == (0, True, POINTS + 1)
    assert {shot["state"] for shot in said.body["shots"]} == {"done", "in_doubt"}
    undone = {shot["point"]: (shot["undone"], shot["state"]) for shot in said.body["undo"]}
    assert len(undone) == UNDO_POINTS + 1
    assert undone[None] == undone["claim_undo.inside"] == (1, "undone")
    assert undone["undoing.before"] == (0, "in_doubt")
    assert undone["undoing.after"] == (1, "in_doubt")
    world = (folder / "effects.txt").read_text("utf-8").splitlines()
    backs = [line for line in world if line.startswith("back")]
    assert len(backs) * 2 == len(world)
    told = ready(*CHAOS, "--really", json=False).out
    assert "denied" not in told
    assert "No call of 9 was taken back twice" in told


@pytest.mark.chaos
def test_a_probe_that_lies_is_found_out(ready: Run, folder: Path) -> None:
    """A reconcile that always says yes lies about what was killed before its effect: exit 1."""
    probe(folder, "lambda params, call: True")
    said = ready(*CHAOS, "--really")
    assert said.code == 1
    assert said.body["ok"] is False
    lied = {shot["point"] for shot in said.body["shots"] if shot["lied"]}
    assert lied == {"claim.after", "effect.before"}


def test_a_tool_that_cannot_be_called_is_no_proof(ready: Run) -> None:
    """Arguments that the tool refuses, or that are no object, are errors and never a pass."""
    for arguments in ('{"order_id": "A1", "amount": "900"}', "[]", "{"):
        said = ready("gates", "chaos", "refund.issue", "--arguments", arguments, "--really")
        assert (said.code, said.error["code"]) == (2, "ST-458")
    assert ready("gates", "chaos", "nothing.here", "--really").error["code"] == "ST-402"
