"""Which runs a page or a program asks for."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from staid.domain.finding import RunSearch
from staid.domain.moment import moment


class RunQuery(BaseModel):
    """The parameters of a search; an empty one narrows nothing, as an empty field of a form."""

    model_config = ConfigDict(extra="forbid")

    agent: str | None = None
    outcome: Literal["answer", "abstention", "refusal", "pending"] | None = None
    reason: str | None = None
    state: Literal["running", "parked", "released", "failed", "external", "imported"] | None = None
    rule: str | None = None
    tool: str | None = None
    document: str | None = None
    since: str | None = Field(default=None, description="2026-05-01, a time, or 7d ago as 7d")
    until: str | None = None
    confidence_below: float | None = Field(default=None, ge=0, le=1)
    text: str | None = Field(default=None, description="Words in a row; the last may be begun.")
    after: str | None = None
    limit: int = Field(default=50, ge=1, le=50)

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        return None if value == "" else value

    def search(self, now: datetime) -> RunSearch:
        """Return the search; raise `MomentMalformed` or `TimesReversed`."""
        fields = self.model_dump(exclude={"since", "until"})
        return RunSearch(
            **fields,
            since=moment(self.since, now) if self.since else None,
            until=moment(self.until, now) if self.until else None,
        )
