"""The store on which a project's own handler is killed is a scratch one, on both engines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select

from staid.store import tables
from staid.store.engine import Store
from staid.testing.kill import Job
from staid.testing.lives import Life
from staid.testing.own_handler import scratch

pytestmark = pytest.mark.chaos


def test_what_is_written_on_a_scratch_store_is_nowhere_else(url: str, tmp_path: Path) -> None:
    """A call that is carried out there leaves nothing in the store beside it."""
    (tmp_path / "scratch").mkdir()
    with scratch(url, tmp_path / "scratch") as where:
        assert where != url
        store = Store(where)
        job = Job(where, str(tmp_path / "effects"), "run_1", "live")
        assert asyncio.run(Life(job, store).play()).state == "done"
        store.close()
    store = Store(url)
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.call)).scalar_one() == 0
        assert connection.execute(select(func.count()).select_from(tables.journal)).scalar() == 0
    store.close()
