"""Feedback and grades as scores of their run."""

from __future__ import annotations

from collections.abc import Mapping

from staid.domain.events import EventKind, JournalRow
from staid.domain.exports import Score
from staid.domain.grading import grade_of
from staid.tracing.disclosure import Disclosure
from staid.tracing.spans import at, body, score_id

VOTES: Mapping[object, float] = {"up": 1.0, "down": 0.0}


def score_of(run: str, row: JournalRow, rules: Disclosure) -> Score | None:
    """Return a fact of feedback or a grade as a score; None where it holds no number."""
    if row.kind is EventKind.FEEDBACK_GIVEN:
        name, value = "feedback", VOTES.get(row.fact.get("vote"))
    else:
        given = grade_of(row.fact)
        name, value = (given.name, given.value) if given else ("", None)
    if value is None:
        return None
    said = body(row).get("comment") or body(row).get("reason") or ""
    return Score(
        id=score_id(run, row.seq),
        run=run,
        name=name,
        value=value,
        comment=str(rules.words(said)) if said else "",
        human=row.actor.kind == "human",
        at=at(row),
    )
