"""SIGKILL at every point around an undo, on both engines: an undo is an effect like any other."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select, update

from staid.domain.events import EventKind
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.testing.kill import KEY, UNDO_POINTS, UNDO_UNKNOWN, EffectFile, Job
from staid.testing.undo_life import undone_file
from staid.testing.zygote import Zygote

pytestmark = pytest.mark.chaos

KILLS_PER_POINT = 4
"""4 kills x 8 points x 2 engines = 64 kills; after half of them a person can look."""
AMOUNT = Decimal(150)


@pytest.mark.parametrize("point", UNDO_POINTS)
def test_kill_and_recover(point: str, url: str, tmp_path: Path, processes: Zygote) -> None:
    """After a kill sweep and retries take the call back once, or it is in doubt.

    Where a person settles each doubt truthfully, it is taken back exactly once.
    """
    jobs = _done(url, tmp_path, processes, KILLS_PER_POINT)
    _kill(jobs, point, processes)
    blind, seeing = jobs[::2], [replace(job, probed=True) for job in jobs[1::2]]
    looked = processes.carry(*(_look(job, 2) for job in (*blind, *seeing)))
    again = processes.carry(*(_look(job, 4) for job in (*blind, *seeing)))
    unknown, number = point in UNDO_UNKNOWN, len(blind)
    expected = ["in_doubt" if unknown else "undone"] * number + ["undone"] * number
    assert [report.state for report in looked] == expected
    assert [report.state for report in again] == expected
    refused = 2 if unknown or point == "settle_undo.after" else 1
    assert {report.errors for report in looked[:number]} == {("ST-427",) * refused}
    never = unknown and point in {"claim_undo.after", "undoing.before"}
    assert {len(undone_file(job).all()) for job in blind} == {0 if never else 1}
    assert {len(undone_file(job).all()) for job in seeing} == {1}
    assert {len(EffectFile(job.effects).all()) for job in jobs} == {1}
    _check_store(url, undone=number + (0 if unknown else number))


@pytest.mark.parametrize("point", ["undoing.before", "undoing.after", "settle_undo.inside"])
def test_killed_while_trying_again(point: str, url: str, tmp_path: Path, processes: Zygote) -> None:
    """A second try that dies as the first one did leaves a doubt, and no second undo."""
    (job,) = _done(url, tmp_path, processes, 1)
    _kill([job], "claim_undo.inside", processes)
    assert processes.run(replace(_look(job, 2), crash=point))[0].killed
    assert processes.run(_look(job, 4))[0].state == "in_doubt"
    assert len(undone_file(job).all()) == (0 if point == "undoing.before" else 1)


def test_what_a_probe_settled_is_taken_back_once(
    url: str, tmp_path: Path, processes: Zygote
) -> None:
    """A call that died, and that the system behind knows, is undone as one that returned."""
    job = replace(_job(url, tmp_path, 0), crash="effect.after", probed=True)
    Path(f"{job.effects}.probe").write_text("truth")
    assert processes.run(job)[0].killed
    found = processes.run(replace(job, role="recover", crash="", hours=2))[0]
    assert found.state == "done"
    _kill([job], "undoing.after", processes)
    assert processes.run(replace(_look(job, 4), probed=True))[0].state == "undone"
    assert (len(EffectFile(job.effects).all()), len(undone_file(job).all())) == (1, 1)
    _check_store(url, undone=1)


def test_a_call_that_is_not_done(url: str, tmp_path: Path, processes: Zygote) -> None:
    """A call whose own execution died is in doubt: there is nothing to take back yet."""
    job = replace(_job(url, tmp_path, 0), crash="effect.after")
    processes.run(job)
    report = processes.run(_look(job, 2))[0]
    assert (report.state, report.errors) == ("in_doubt", ("ST-427", "ST-427"))
    assert undone_file(job).all() == []


def test_racing_undos(url: str, tmp_path: Path, processes: Zygote) -> None:
    """Of four processes that take one call back at once exactly one does; the others are told."""
    for job in _done(url, tmp_path, processes, 2):
        reports = processes.run(*(replace(job, role="undo") for _ in range(4)))
        assert sorted(code for report in reports for code in report.errors) == ["ST-427"] * 3
        assert len(undone_file(job).all()) == 1
        assert processes.run(replace(job, role="undo"))[0].state == "undone"
    _check_store(url, undone=2)


def test_a_row_that_was_set_back(url: str, tmp_path: Path, processes: Zygote) -> None:
    """An undo in doubt whose row somebody makes to have failed is not tried again."""
    (job,) = _done(url, tmp_path, processes, 1)
    _kill([job], "undoing.after", processes)
    processes.run(_look(job, 2))
    store = Store(url)
    with store.write() as connection:
        connection.execute(update(tables.undo).values(state="failed"))
    store.close()
    report = processes.run(replace(job, role="undo", hours=4))[0]
    assert report.errors == ("ST-413",)
    assert len(undone_file(job).all()) == 1


def _done(url: str, folder: Path, processes: Zygote, number: int) -> list[Job]:
    jobs = [_job(url, folder, each) for each in range(number)]
    assert {report.state for report in processes.carry(*jobs)} == {"done"}
    return jobs


def _kill(jobs: list[Job], point: str, processes: Zygote) -> None:
    doomed = [replace(job, role="undo", crash=point) for job in jobs]
    assert all(report.killed for report in processes.carry(*doomed))


def _look(job: Job, hours: float) -> Job:
    return replace(job, role="look", crash="", hours=hours)


def _job(url: str, folder: Path, number: int) -> Job:
    return Job(
        url=url,
        effects=str(folder / f"run_{number}"),
        run=f"run_{number}",
        role="live",
        amount=str(AMOUNT),
        asynchronous=number % 2 == 0,
        undoable=True,
    )


def _check_store(url: str, undone: int) -> None:
    """Hold the budget and the record against what was taken back."""
    store = Store(url)
    with store.read() as connection:
        held = Counter(connection.execute(select(tables.reservation.c.state)).scalars())
        journal = tables.journal.c
        ended = select(journal.fact).where(journal.kind == EventKind.UNDO_ENDED.value)
        facts = list(connection.execute(ended).scalars())
    assert held["released"] == undone
    assert set(held) <= {"released", "captured"}
    assert sum('"state":"undone"' in fact for fact in facts) == undone
    assert Journal(store, KEY).verify() == []
    store.close()
