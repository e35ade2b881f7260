"""SIGKILL at every point around a refund, on both engines: never a second effect, never a guess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from staid.domain.ids import RunId
from staid.store import tables
from staid.store.engine import Store
from staid.store.journal import Journal
from staid.store.ledger.rows import LedgerRows
from staid.testing.kill import KEY, POINTS, UNKNOWN, EffectFile, Job, settled_truthfully
from staid.testing.zygote import Zygote

pytestmark = pytest.mark.chaos

KILLS_PER_POINT = 9
"""9 kills x 12 points x 2 engines = 216 kills."""


@pytest.mark.parametrize("point", POINTS)
def test_kill_and_recover(point: str, url: str, tmp_path: Path, processes: Zygote) -> None:
    """After a kill at this point, sweep, resume and retries give the effect once or in doubt."""
    jobs = [_job(url, tmp_path, number, point) for number in range(KILLS_PER_POINT)]
    assert all(report.killed for report in processes.run(*jobs))
    recovered = processes.carry(*(replace(j, role="recover", crash="", hours=2) for j in jobs))
    again = processes.carry(*(replace(j, role="recover", crash="", hours=4) for j in jobs[:2]))
    assert [r.state for r in again] == [r.state for r in recovered[:2]]
    for job, report in zip(jobs, recovered, strict=True):
        effects = EffectFile(job.effects).all()
        assert report.state == ("in_doubt" if point in UNKNOWN else "done")
        assert len(effects) == (0 if point in {"claim.after", "effect.before"} else 1)
        assert settled_truthfully(report.state, len(effects))
        assert all(effect["amount"] == job.amount for effect in effects)
    store = Store(url)
    assert Journal(store, KEY).verify() == []
    store.close()


@pytest.mark.parametrize("point", ["effect.before", "effect.after"])
def test_killed_while_recovering(point: str, url: str, tmp_path: Path, processes: Zygote) -> None:
    """A recovery that dies in the handler it resumed leaves a doubt, not a second effect."""
    job = _job(url, tmp_path, 0, "decide.after")
    processes.run(job)
    assert processes.run(replace(job, role="recover", crash=point, hours=2))[0].killed
    last = processes.run(replace(job, role="recover", crash="", hours=4))[0]
    assert last.state == "in_doubt"
    assert len(EffectFile(job.effects).all()) == (1 if point == "effect.after" else 0)


def test_racing_executors(url: str, tmp_path: Path, processes: Zygote) -> None:
    """Six processes that execute one approved call at once give one effect."""
    for number in range(5):
        job = _job(url, tmp_path, number, "decide.after")
        processes.run(job)
        racers = [replace(job, role="execute", crash="") for _ in range(6)]
        processes.run(*racers)
        assert len(EffectFile(job.effects).all()) == 1
        assert processes.run(racers[0])[0].state == "done"


def test_racing_decisions(url: str, tmp_path: Path, processes: Zygote) -> None:
    """Of approve and deny at once exactly one counts, and the other is told so."""
    for number in range(5):
        job = _job(url, tmp_path, number, "propose.after")
        processes.run(job)
        reports = processes.run(
            replace(job, role="approve", crash=""),
            replace(job, role="deny", crash=""),
            replace(job, role="approve", crash=""),
        )
        assert sorted(code for report in reports for code in report.errors) == ["ST-411"] * 2
        state = processes.run(replace(job, role="execute", crash=""))[0].state
        assert state in {"done", "denied"}
        assert len(EffectFile(job.effects).all()) == (1 if state == "done" else 0)


@pytest.mark.parametrize("depth", range(5))
def test_tampered_row(depth: int, url: str, tmp_path: Path, processes: Zygote) -> None:
    """Arguments changed in the database after the approval never run, however much is changed."""
    job = _job(url, tmp_path, 0, "decide.after")
    processes.run(job)
    tamper(url, job.run, depth)
    report = processes.run(replace(job, role="recover", crash="", hours=2))[0]
    assert EffectFile(job.effects).all() == []
    assert "ST-413" in report.errors


def test_row_set_back_to_approved(url: str, tmp_path: Path, processes: Zygote) -> None:
    """A done call whose row is set back to approved is not executed again."""
    job = _job(url, tmp_path, 0, "")
    assert processes.run(job)[0].state == "done"
    store = Store(url)
    with store.write() as connection:
        connection.execute(
            update(tables.call).where(tables.call.c.run == job.run).values(state="approved")
        )
    store.close()
    report = processes.run(replace(job, role="execute"))[0]
    assert report.errors == ("ST-413",)
    assert len(EffectFile(job.effects).all()) == 1


def tamper(url: str, run: str, depth: int) -> None:
    """Change the stored arguments, and with more depth everything that should give it away."""
    from staid.domain.call import call_digest

    arguments = f'{{"amount":"499","order_id":"{run}"}}'
    forged = call_digest("refund.issue", {"amount": "499", "order_id": run})
    store = Store(url)
    record = LedgerRows(store).calls(RunId(run))[0]
    changes: list[dict[str, object]] = [{"arguments": arguments}]
    if depth >= 1:
        changes.append({"digest": forged})
    if depth >= 3:
        # Pretend that the rules allowed it without a human.
        changes.append({"severity": 0, "rule": "bounds"})
    with store.write() as connection:
        for values in changes:
            connection.execute(
                update(tables.call).where(tables.call.c.id == record.call.id).values(**values)
            )
        if depth >= 2:
            connection.execute(
                update(tables.approval)
                .where(tables.approval.c.call == record.call.id)
                .values(digest=forged)
            )
        if depth >= 4:
            connection.execute(tables.vote.delete())
            connection.execute(
                tables.approval.delete().where(tables.approval.c.call == record.call.id)
            )
    store.close()


def _job(url: str, folder: Path, number: int, point: str) -> Job:
    return Job(
        url=url,
        effects=str(folder / f"effects-{number}"),
        run=f"run_{number}",
        role="live",
        crash=point,
        amount="150",
        asynchronous=number % 2 == 0,
    )
