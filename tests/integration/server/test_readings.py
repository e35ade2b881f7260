"""Readings over HTTP: what somebody else's run leaves behind, and what one's own does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from staid.domain.errors import StoreReadOnly
from staid.project.privacy import readings
from staid.store.readings import SqlReadings

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "readings.md"


def found(office: Any, run: str) -> list[tuple[str, str]]:
    """Return reader and surface of every reading of a run."""
    return [(each.reader, each.surface) for each in readings(office.project).of(run)]


def test_an_approver_who_reads_a_run_is_recorded(office: Any) -> None:
    """Page, JSON and request page each record the approver; the asker reads unrecorded."""
    request = office.pending("user:ada")
    run = request["run"]
    ada, lead = office.signed_in("user:ada"), office.signed_in("user:lead")
    for client in (ada, lead):
        assert client.get(f"/runs/{run}").status_code == 200
        assert client.get(f"/api/runs/{run}/story").status_code == 200
        assert client.get(f"/approvals/{request['id']}").status_code == 200
    expected = [("user:lead", "console"), ("user:lead", "api"), ("user:lead", "console")]
    assert found(office, run) == expected
    assert office.project.wiring.journal.verify() == []


def test_who_sees_nothing_leaves_nothing(office: Any) -> None:
    """A run that is not found for a reader has not been read by them."""
    run = office.pending("user:ada")["run"]
    assert office.signed_in("user:bob").get(f"/api/runs/{run}").status_code == 404
    assert found(office, run) == []


def test_unrecorded_means_unseen(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reading cannot be recorded the server shows nothing of the run, and says why."""
    request = office.pending("user:ada")
    run = request["run"]

    def read_only(*_given: object, **_more: object) -> None:
        raise StoreReadOnly

    monkeypatch.setattr(SqlReadings, "record", read_only)
    lead = office.signed_in("user:lead")
    for path in (f"/api/runs/{run}", f"/runs/{run}", f"/approvals/{request['id']}"):
        answer = lead.get(path)
        assert answer.status_code == 503
        assert "ST-538" in answer.text
        assert "240" not in answer.text
    assert office.signed_in("user:ada").get(f"/api/runs/{run}").status_code == 200


def test_a_list_is_recorded_once_an_hour(office: Any) -> None:
    """An inbox that stays open leaves one reading an hour; one's own requests leave none."""
    request = office.pending("user:ada")
    run = request["run"]
    ada, lead = office.signed_in("user:ada"), office.signed_in("user:lead")
    for _ in range(3):
        assert request["id"] in ada.get("/api/approvals").text
        assert request["id"] in lead.get("/api/approvals").text
    assert found(office, run) == [("user:lead", "api")]
    lead.get("/approvals")
    assert found(office, run) == [("user:lead", "api"), ("user:lead", "console")]
    office.clock.forward(hours=1)
    lead.get("/api/approvals?state=all")
    assert found(office, run)[2:] == [("user:lead", "api")]
    assert office.project.wiring.journal.verify() == []


def test_every_address_that_shows_content_records_it(office: Any) -> None:
    """Each address of the row in the reference is asked by an approver, and each leaves a fact."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line[:2] == "| "]
    paths = re.findall(r"`GET ([^`]+)`", lines[1].split("|")[3])
    assert len(paths) == 10
    request = office.pending("user:ada")
    call = request["calls"][0]["call"]
    shown = {"run": request["run"], "approval": request["id"], "call": call}
    lead = office.signed_in("user:lead")
    for number, path in enumerate(paths, 1):
        answer = lead.get(path.format(**shown))
        assert answer.status_code == 200
        assert len(found(office, request["run"])) == number
