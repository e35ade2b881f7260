"""SIGKILL at every point around a refund that an agent of another framework makes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from staid.store.engine import Store
from staid.store.journal import Journal
from staid.testing.frameworks import DRIVERS
from staid.testing.kill import KEY, POINTS, UNKNOWN, EffectFile, Job, settled_truthfully
from staid.testing.zygote import Zygote

pytestmark = pytest.mark.chaos

KILLS_PER_POINT = 3
"""3 kills x 12 points x 3 frameworks x 2 engines = 216 kills."""


@pytest.mark.parametrize("via", sorted(DRIVERS))
def test_kill_and_run_the_agent_again(
    via: str, url: str, tmp_path: Path, processes: Zygote
) -> None:
    """Killed at any point, its agent run again twice, the refund took place once or is in doubt."""
    for point in POINTS:
        jobs = [_job(url, tmp_path, via, point, number) for number in range(KILLS_PER_POINT)]
        assert all(report.killed for report in processes.run(*jobs)), point
        recovered = processes.carry(*(replace(j, role="recover", crash="", hours=2) for j in jobs))
        for job, report in zip(jobs, recovered, strict=True):
            effects = EffectFile(job.effects).all()
            assert report.state == ("in_doubt" if point in UNKNOWN else "done"), report
            assert settled_truthfully(report.state, len(effects))
            assert Counter(e["amount"] for e in effects) in (Counter(), Counter(["150"]))
    store = Store(url)
    assert Journal(store, KEY).verify() == []
    store.close()


@pytest.mark.parametrize("via", DRIVERS)
def test_racing_agents(url: str, tmp_path: Path, processes: Zygote, via: str) -> None:
    """Six agents that make one approved call at once give one effect."""
    job = _job(url, tmp_path, via, "decide.after", 0)
    processes.run(job)
    processes.run(*(replace(job, role="execute", crash="") for _ in range(6)))
    assert len(EffectFile(job.effects).all()) == 1
    assert processes.run(replace(job, role="execute", crash=""))[0].state == "done"


def test_another_framework_asks_again(url: str, tmp_path: Path, processes: Zygote) -> None:
    """A tool that another framework describes otherwise is another tool: nothing runs unasked."""
    job = _job(url, tmp_path, "langgraph", "decide.after", 0)
    processes.run(job)
    again = processes.run(replace(job, role="execute", crash="", via="openai_agents"))
    assert again[0].state == "pending"
    assert EffectFile(job.effects).all() == []


def _job(url: str, folder: Path, via: str, point: str, number: int) -> Job:
    run = f"run_{via}_{point}_{number}"
    return Job(url=url, effects=str(folder / run), run=run, role="live", crash=point, via=via)
