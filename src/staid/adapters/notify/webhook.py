"""Notices as signed JSON to an address of the user's own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import httpx

from staid.adapters.notify.posting import post
from staid.adapters.notify.signature import signed
from staid.domain.canonical import timestamp
from staid.domain.notice import Notice
from staid.domain.ports import Clock


@dataclass(frozen=True, slots=True)
class Webhook:
    """Posts a notice with its signature; any 2xx means that it arrived."""

    url: str
    secret: str = field(repr=False)
    clock: Clock
    client: httpx.Client = field(repr=False)

    def send(self, notice: Notice) -> str:
        """Deliver a notice; the same id is sent again until the receiver answered 2xx."""
        body = json.dumps(
            {
                "id": notice.id,
                "kind": notice.kind,
                "about": notice.about,
                "project": notice.project,
                "title": notice.title,
                "lines": list(notice.lines),
                "link": notice.link,
                "at": timestamp(notice.at),
            }
        ).encode()
        now = int(self.clock.now().timestamp())
        headers = signed(self.secret, body, now, notice.id)
        post(self.client, self.url, body, {**headers, "Content-Type": "application/json"})
        return notice.id
