"""Identifiers: time-sortable, with a prefix that says what they name."""

from __future__ import annotations

from typing import NewType, Protocol

RunId = NewType("RunId", str)
"""`run_…`: one question to one outcome."""
ConversationId = NewType("ConversationId", str)
"""`cnv_…`: runs in one thread, owned by its asker."""
CallId = NewType("CallId", str)
"""`cal_…`: one proposed use of a tool. Ours, never the model's."""
ApprovalId = NewType("ApprovalId", str)
"""`apr_…`: one request for a human decision."""
HandoffId = NewType("HandoffId", str)
"""`hof_…`: one question in a teammate's queue."""
ChunkId = NewType("ChunkId", str)
"""Hash of source, document, version and ordinal: says nothing about what else exists."""
DocumentId = NewType("DocumentId", str)
"""The source's own id, unique within its source."""


class Ids(Protocol):
    """Where new identifiers come from."""

    def new(self, prefix: str) -> str:
        """Return `prefix_` and 26 characters that sort by time of creation and never repeat."""
        ...
