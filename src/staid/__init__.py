"""Staid: the boring infrastructure that makes an AI agent trustworthy in production.

>>> import staid
>>> project = staid.Project()                        # the nearest staid.toml upward
>>> agent = project.agent("support")
>>> outcome = agent.ask_sync("What is your refund policy?", asker="user:ada")

Public names are imported when they are first used, so that `import staid` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from staid.domain.errors import CallDenied, CallPending, NotDone, StaidError
    from staid.domain.outcome import Abstention, Answer, Outcome, Pending, Refusal
    from staid.domain.principal import Principal
    from staid.gates.breaker import Breaker
    from staid.gates.budget import Budget
    from staid.gates.structuring import Structuring, Threshold
    from staid.gates.tool import Call, Constraint
    from staid.project.project import Project

_HOMES = {
    "Abstention": "staid.domain.outcome",
    "Answer": "staid.domain.outcome",
    "Breaker": "staid.gates.breaker",
    "Budget": "staid.gates.budget",
    "Call": "staid.gates.tool",
    "CallDenied": "staid.domain.errors",
    "CallPending": "staid.domain.errors",
    "Constraint": "staid.gates.tool",
    "NotDone": "staid.domain.errors",
    "Outcome": "staid.domain.outcome",
    "Pending": "staid.domain.outcome",
    "Principal": "staid.domain.principal",
    "Project": "staid.project.project",
    "Refusal": "staid.domain.outcome",
    "StaidError": "staid.domain.errors",
    "Structuring": "staid.gates.structuring",
    "Threshold": "staid.gates.structuring",
}

__all__ = [
    "Abstention",
    "Answer",
    "Breaker",
    "Budget",
    "Call",
    "CallDenied",
    "CallPending",
    "Constraint",
    "NotDone",
    "Outcome",
    "Pending",
    "Principal",
    "Project",
    "Refusal",
    "StaidError",
    "Structuring",
    "Threshold",
    "__version__",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'staid' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
