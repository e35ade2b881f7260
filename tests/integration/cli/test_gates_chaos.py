"""`gates chaos`: kill -9 around a project's own handler, on a store that is thrown away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

ARGUMENTS = '{"order_id": "A1", "amount": "1"}'
CHAOS = ("gates", "chaos", "refund.issue", "--arguments", ARGUMENTS)
POINTS = 12


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
