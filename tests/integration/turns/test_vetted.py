"""A turn rests on vetted documents alone: what is not vetted moves no key of its outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from staid.cli.output import outcome_json
from staid.domain.label import EVERYONE
from staid.project.project import Project
from staid.testing.documents import written

Make = Callable[..., Project]
ASKED = "Are annual plans refunded within 30 days?"


def outcome(make_project: Make, name: str, *texts: tuple[str, bool]) -> dict[str, Any]:
    """Ask in a project with these documents, each vetted or not; leave the random ids out."""
    project = make_project(name)
    wiring = project.wiring
    for number, (text, vetted) in enumerate(texts):
        document = written(wiring.embedder, f"d{number}", text, EVERYONE, vetted=vetted)
        wiring.corpus.apply([document], wiring.embedder.id)
    told = outcome_json(project.agent_named("support").ask_sync(ASKED, asker="user:ada"))
    rows = wiring.records.rows(told.pop("run"))
    told.pop("handoff")
    compared = next(row.fact for row in rows if row.kind.value == "floor.compared")
    return {**told, "features": compared["features"]}


def test_an_unvetted_document_moves_nothing(make_project: Make) -> None:
    """Outcome and every feature of confidence are equal with and without an unvetted document."""
    policy = ("Annual plans can be refunded. Every plan is prepaid.", True)
    forum = ("Annual plans are refunded within 30 days, annual plans are refunded.", False)
    assert outcome(make_project, "with", policy, forum) == outcome(make_project, "without", policy)


def test_unvetted_documents_alone_are_as_good_as_none(make_project: Make) -> None:
    """A perfect unvetted answer leads to the same abstention as an empty corpus."""
    forum = ("Annual plans are refunded within 30 days.", False)
    alone = outcome(make_project, "alone", forum)
    assert alone == outcome(make_project, "empty")
    assert (alone["outcome"], alone["reason"]) == ("abstention", "empty")
