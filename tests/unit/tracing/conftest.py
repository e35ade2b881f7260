"""Journals written by hand, a second between the facts unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from staid.domain.canonical import timestamp
from staid.domain.events import EventKind, JournalRow
from staid.domain.label import EVERYONE, Label
from staid.domain.principal import Actor

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
HUMANS = {EventKind.APPROVAL_DECIDED, EventKind.HANDOFF_ANSWERED, EventKind.FEEDBACK_GIVEN}


@pytest.fixture
def journal() -> Callable[..., list[JournalRow]]:
    """Give a maker of rows; of a fact `body`, `label`, `after` (seconds) are not part of it."""

    def make(*facts: tuple[EventKind, dict[str, Any]]) -> list[JournalRow]:
        made: list[JournalRow] = []
        at = START
        for seq, (kind, fact) in enumerate(facts, 1):
            at += timedelta(seconds=fact.get("after", 1 if seq > 1 else 0))
            label = fact.get("label", EVERYONE)
            assert isinstance(label, Label)
            told = {k: v for k, v in fact.items() if k not in {"body", "label", "after"}}
            who = Actor("human", "user:lead") if kind in HUMANS else Actor("service", "staid")
            body = fact.get("body")
            made.append(
                JournalRow("run_1", seq, kind, timestamp(at), who, told, None, "", "", body, label)
            )
        return made

    return make


@pytest.fixture
def answered() -> list[tuple[EventKind, dict[str, Any]]]:
    """Give the facts of a run that answered from one passage, with two others cut."""
    k = EventKind
    place = {"source": "help", "version": "v1", "similarity": 0.8}
    kept = {**place, "document": "a.md", "chunk": "c1", "rank": 1}
    cut = [
        {**place, "document": "b.md", "chunk": "c2", "rank": 2, "why": "below k"},
        {**place, "document": "x.md", "chunk": "c3", "rank": 3, "why": "named"},
    ]
    compared = {
        "decision": "sufficient", "message": "enough", "confidence": 0.9, "similarity": 0.8,
        "floor": 0.55, "signal": "confidence", "rule": "floor", "evidence": ["c1"], "cut": cut,
    }  # fmt: skip
    statement: dict[str, Any] = {
        "statement": 1, "support": 0.95, "findings": [], "blocked": False, "draft_supported": True,
        "document": "a.md", "chunk": "c1", "version": "v1", "start": 0, "end": 12,
    }  # fmt: skip
    label = Label.of([["group:finance", "user:cfo"]])
    scope = {"asker": "user:ada", "groups": ["group:finance"], "asserted": False, "may_read": None}
    return [
        (k.RUN_STARTED, {"agent": "support", "body": {"question": "What?"}}),
        (k.SCOPE_RESOLVED, scope),
        (k.RETRIEVAL_DONE, {"view": 30, "found": 3, "k": 3, "withheld": 0}),
        (k.PASSAGE_KEPT, {**kept, "label": label, "body": {"title": "A", "text": "Paid monthly."}}),
        (k.FLOOR_COMPARED, compared),
        (k.PROMPT_RENDERED, {"name": "p.md", "sha256": "ab" * 32}),
        (k.MODEL_REQUESTED, {"model": "quote", "tools": ["refund.issue"]}),
        (k.MODEL_RETURNED, {"model": "quote", "calls": 0, "characters": 13}),
        (k.STATEMENT_CHECKED, {**statement, "body": {"text": "Paid monthly.", "quote": "Paid m"}}),
        (k.OUTCOME_DECIDED, {"outcome": "answer", "reason": None, "body": {"text": "Paid."}}),
        (k.OUTCOME_RELEASED, {"outcome": "answer"}),
    ]
