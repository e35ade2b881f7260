"""What could not be taken in, and why."""

from __future__ import annotations

from dataclasses import dataclass

from staid.domain.label import Label


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something of a source that was not indexed, never half: what it is, and a plain reason."""

    id: str
    """The document's id, or a place such as `line 17` where the id is not known."""
    reason: str
    known: bool = True
    """Whether `id` is the id of a document. While one is unknown, nothing is taken for gone."""
    label: Label | None = None
    """The document's label where the source states one all the same: a version that is already
    stored stays, but under this label."""
