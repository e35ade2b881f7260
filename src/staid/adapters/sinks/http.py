"""Requests to one receiver, and what each kind of failure means for what was sent."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any

import httpx

from staid.domain.errors import BatchRejected, SinkRefused, SinkUnreachable

POISONED = frozenset({400, 413, 415, 422})
"""The receiver looked at the content and will never take it."""
LATER = frozenset({408, 425, 429})
"""Besides 5xx: the same request may succeed later."""
TOLD = 300
"""Characters of a receiver's answer that are kept."""


class Receiver:
    """An HTTP client of one receiver: every failure is one of three errors."""

    def __init__(
        self,
        name: str,
        base: str,
        headers: Mapping[str, str],
        *,
        timeout: float = 10.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Talk to `base`; nothing is sent before the first request."""
        self.name = name
        self._client = httpx.Client(
            base_url=base.rstrip("/"),
            headers=dict(headers),
            timeout=timeout,
            transport=transport,
            follow_redirects=False,  # a redirect would carry the key elsewhere
        )

    def post_protobuf(self, path: str, payload: bytes) -> bytes:
        """Send protobuf, compressed, and return the body of the answer."""
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        answer = self._request("POST", path, content=gzip.compress(payload, 5), headers=headers)
        return answer.content

    def json(self, method: str, path: str, **given: Any) -> Any:  # noqa: ANN401 - whatever JSON the receiver answers
        """Send a request and return the JSON of the answer; None where there is none."""
        answer = self._request(method, path, **given)
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise SinkRefused(sink=self.name, detail="its answer is no JSON") from error

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def _request(self, method: str, path: str, **given: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own options
        try:
            answer = self._client.request(method, path, **given)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise SinkRefused(sink=self.name, detail=str(error)) from error
        except httpx.HTTPError as error:
            detail = f"{type(error).__name__}: {error}"
            raise SinkUnreachable(sink=self.name, detail=detail) from error
        if answer.is_success:
            return answer
        detail = f"{answer.status_code}: {answer.text[:TOLD].strip() or answer.reason_phrase}"
        if answer.status_code in POISONED:
            raise BatchRejected(sink=self.name, detail=detail)
        if answer.status_code in LATER or answer.is_server_error:
            raise SinkUnreachable(sink=self.name, detail=detail, after=_after(answer))
        raise SinkRefused(sink=self.name, detail=detail)


def _after(answer: httpx.Response) -> float:
    """Return how many seconds the receiver asked to be left alone; 0 where it did not say."""
    said = answer.headers.get("Retry-After", "")
    return min(float(said), 86_400.0) if said.isdigit() else 0.0
