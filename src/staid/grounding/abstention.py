"""What the asker is told when there is no answer, and the typed reason behind it."""

from __future__ import annotations

from staid.domain.outcome import AbstentionReason

MESSAGE = "I don't have that information. Let me get a teammate."
"""The same words for every reason, so that an abstention tells nothing about what was found."""

REASONS: dict[AbstentionReason, str] = {
    "empty": "nothing that this asker may read and that is vetted was found",
    "weak": "what was found does not answer the question well enough",
    "unsupported": "the draft said something that the evidence does not",
}
"""Plain words for the story; never shown to the asker."""


def explain(reason: AbstentionReason) -> str:
    """Return the plain words behind a reason."""
    return REASONS[reason]
