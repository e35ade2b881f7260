"""Errors 46x: notifications."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class NotDelivered(StaidError):
    """The notice could not be delivered: {detail}"""

    code = "ST-460"
    hint = "It is tried again by `staid worker`; `staid notify list` shows what waits."
    exit_code = 5

    def __init__(self, detail: str, *, after: float | None = None) -> None:
        super().__init__(detail=detail)
        self.after = after
        """Seconds that the receiver asked to wait for, where it did."""


class ChannelNotFound(StaidError):
    """There is no channel {channel} under [notify] in the project's settings."""

    code = "ST-461"
    hint = "`staid notify list` shows the channels; docs/guides/notifications.md how to add one."
    exit_code = 2


class WebhookRefused(StaidError):
    """The webhook is not genuine: {detail}"""

    code = "ST-462"
    hint = "Check that both sides have the same secret and a right clock; answer it with 400."
    exit_code = 4
