"""Notices to Slack, by an incoming webhook or as a bot; a click leads to the console."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

from staid.adapters.notify.posting import post
from staid.domain.errors.notify import NotDelivered
from staid.domain.notice import Notice

API = "https://slack.com/api"
_LONGEST = 2900
"""Characters; a section of Slack takes 3,000."""
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class Slack:
    """Posts a message of blocks, with a plain text for notifications."""

    client: httpx.Client = field(repr=False)
    webhook: str | None = field(default=None, repr=False)
    """An incoming webhook's address; or else token and channel."""
    token: str | None = field(default=None, repr=False)
    channel: str | None = None
    api: str = API

    def send(self, notice: Notice) -> str:
        """Deliver a notice and return the message's time stamp, or `ok` from a webhook."""
        if self.webhook:
            response = post(self.client, self.webhook, _body(message(notice)), _JSON)
            if response.text.strip() != "ok":
                raise NotDelivered(f"Slack answered {response.text[:200]!r}")
            return "ok"
        said = {**message(notice), "channel": self.channel}
        headers = {**_JSON, "Authorization": f"Bearer {self.token}"}
        response = post(self.client, f"{self.api}/chat.postMessage", _body(said), headers)
        return _accepted(response)


def message(notice: Notice) -> dict[str, Any]:
    """Return a notice as Slack's message: no button that could decide, only a link to sign in."""
    lines = "\n".join(_plain(line) for line in notice.lines)[:_LONGEST]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": notice.title[:150]}},
        {"type": "section", "text": {"type": "mrkdwn", "text": lines or " "}},
    ]
    if notice.link:
        label = {"type": "plain_text", "text": "Open in the console"}
        button = {"type": "button", "text": label, "url": notice.link, "action_id": "open"}
        blocks.append({"type": "actions", "elements": [button]})
    note = f"{notice.project} · {notice.about} · {notice.id}"
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": _plain(note)}]})
    return {"text": f"{notice.title} ({notice.project})", "blocks": blocks}


_JSON = {"Content-Type": "application/json; charset=utf-8"}


def _body(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode()


def _plain(text: str) -> str:
    # Escaped, so that no argument can write a link or call a whole channel.
    return text.translate(_ESCAPED)


def _accepted(response: httpx.Response) -> str:
    try:
        answer = cast("dict[str, Any]", response.json())
    except ValueError as error:
        raise NotDelivered("Slack answered no JSON") from error
    if not answer.get("ok"):
        raise NotDelivered(f"Slack answered {answer.get('error', 'no reason')}")
    return str(answer.get("ts", "ok"))
