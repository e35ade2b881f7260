"""Signed webhooks: how they are signed, and how a receiver tells that one is genuine and new.

The scheme is HMAC-SHA-256 (RFC 2104) over `timestamp.body`, as receivers of other services know it:
a recorded delivery cannot be sent again later, because its time is part of what is signed.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Mapping, Sequence
from hashlib import sha256

from staid.domain.errors.notify import WebhookRefused
from staid.domain.ports import Clock

TOLERANCE = 300.0
"""Seconds that a delivery's time may differ from the receiver's."""

DELIVERY, TIMESTAMP, SIGNATURE = "Staid-Delivery", "Staid-Timestamp", "Staid-Signature"


def signed(secret: str, body: bytes, timestamp: int, delivery: str) -> dict[str, str]:
    """Return the headers of a genuine delivery."""
    return {
        DELIVERY: delivery,
        TIMESTAMP: str(timestamp),
        SIGNATURE: f"v1={_digest(secret, body, timestamp, delivery)}",
    }


class Receiver:
    """Accepts each genuine delivery once; what is forged, old or repeated is refused."""

    def __init__(self, secrets: Sequence[str], clock: Clock) -> None:
        """Accept what any of these secrets signed: two while one replaces the other."""
        if not all(secrets) or not secrets:
            message = "a receiver needs a secret that is not empty"
            raise ValueError(message)
        self._secrets = tuple(secrets)
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def accept(self, headers: Mapping[str, str], body: bytes) -> str:
        """Return the delivery's id; raise `WebhookRefused`.

        A repeated id is refused as long as its time would pass; later ones fail by their time.
        """
        named = {name.lower(): value for name, value in headers.items()}
        delivery = named.get(DELIVERY.lower(), "")
        given = named.get(SIGNATURE.lower(), "")
        timestamp = _seconds(named.get(TIMESTAMP.lower(), ""))
        now = self._clock.now().timestamp()
        wanted = [f"v1={_digest(secret, body, timestamp, delivery)}" for secret in self._secrets]
        # Every secret is compared, so that how long it takes says nothing about which one fits.
        fits = [hmac.compare_digest(one.encode(), given.encode()) for one in wanted]
        if not any(fits):
            raise WebhookRefused(detail="the signature does not fit")
        if abs(now - timestamp) > TOLERANCE:
            raise WebhookRefused(detail="it is too old, or one of the clocks is wrong")
        with self._lock:
            self._seen = {k: at for k, at in self._seen.items() if now - at <= 2 * TOLERANCE}
            if delivery in self._seen:
                raise WebhookRefused(detail=f"{delivery} was accepted before")
            self._seen[delivery] = now
        return delivery


def _digest(secret: str, body: bytes, timestamp: int, delivery: str) -> str:
    text = f"{timestamp}.{delivery}.".encode() + body
    return hmac.new(secret.encode(), text, sha256).hexdigest()


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise WebhookRefused(detail="it carries no time")
    return int(text)
