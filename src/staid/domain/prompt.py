"""Texts that a model is sent, each from a registered version: nothing comes from anywhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from staid.domain.message import ToolSpec


@dataclass(frozen=True, slots=True)
class Pin:
    """One text by name, version and hash."""

    name: str
    version: int | None
    """Counted per name from 1 as texts are first seen; None where no registry is kept."""
    sha256: str


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """A text as the registry keeps it."""

    name: str
    version: int
    sha256: str
    text: str
    at: datetime
    """When it was first used."""

    @property
    def reference(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Pinned:
    """Everything fixed that one request is made of."""

    instructions: Pin
    others: tuple[Pin, ...] = ()
    """Templates (`staid/NAME`) and tool definitions (`tool/NAME`)."""


class Prompts(Protocol):
    """The one place that prompts come from."""

    def pinned(self, name: str, text: str, tools: Sequence[ToolSpec]) -> Pinned:
        """Return the versions of the instructions, the templates and these tools; registers them.

        A version is durable before its number is returned.
        """
        ...


class Registry(Protocol):
    """Where versions are numbered."""

    def pin(self, texts: Mapping[str, str]) -> Sequence[Pin]:
        """Return the version of each text, in order; a text that is new gets the next number."""
        ...
