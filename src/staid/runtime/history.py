"""Earlier turns of a conversation, re-authorised for the asker as of now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from staid.access.evaluate import permits
from staid.domain.errors import DocumentAmbiguous, DocumentNotFound
from staid.domain.events import EventKind, JournalRow
from staid.domain.message import Message
from staid.domain.ports import Corpus
from staid.domain.principal import Principal
from staid.domain.records import Records

TURNS = 6
"""How many earlier turns a model is shown."""


def earlier_turns(
    records: Records,
    corpus: Corpus,
    conversation: str,
    principal: Principal,
    may_read: frozenset[str] | None,
    before: str | None = None,
) -> list[Message]:
    """Return question and answer of the latest turns whose sources asker and agent may still read.

    A turn that rests on a document which was removed, or which one of them may no longer read, is
    left out whole: its answer would carry what its source no longer gives. With `before`, only
    turns of runs that are older than this one.
    """
    scope = [principal.tokens] if may_read is None else [principal.tokens, may_read]
    runs = records.conversation(conversation, principal.token)
    messages: list[Message] = []
    for run in [run for run in runs if before is None or run.run < before][-TURNS:]:
        rows = records.rows(run.run)
        if all(_readable(rows, corpus, tokens) for tokens in scope):
            messages += _messages(rows)
    return messages


def _readable(rows: Sequence[JournalRow], corpus: Corpus, tokens: frozenset[str]) -> bool:
    kept = {
        (str(row.fact["source"]), str(row.fact["document"]))
        for row in rows
        if row.kind is EventKind.PASSAGE_KEPT
    }
    return all(_may_read(corpus, f"{source}/{document}", tokens) for source, document in kept)


def _may_read(corpus: Corpus, document: str, tokens: frozenset[str]) -> bool:
    try:
        return permits(corpus.find(document).label, tokens)
    except (DocumentNotFound, DocumentAmbiguous):
        return False


def _messages(rows: Sequence[JournalRow]) -> list[Message]:
    bodies = {row.kind: cast("Mapping[str, Any]", row.body) for row in rows if row.body}
    asked = bodies.get(EventKind.RUN_STARTED)
    decided = bodies.get(EventKind.OUTCOME_DECIDED)
    if asked is None or decided is None:  # erased
        return []
    return [Message("user", asked["question"]), Message("assistant", decided["text"])]
