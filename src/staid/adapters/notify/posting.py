"""One HTTP post whose every failure is told the same way."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from staid.domain.errors.notify import NotDelivered

TIMEOUT = 10.0
"""Seconds; a receiver that is slower is asked again later."""


def client() -> httpx.Client:
    """Return a client that follows nothing: a redirect would take a signature elsewhere."""
    return httpx.Client(timeout=TIMEOUT, follow_redirects=False)


def post(client: httpx.Client, url: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    """Return a 2xx response; raise `NotDelivered` for anything else, with the wait it asked for."""
    try:
        response = client.post(url, content=body, headers=dict(headers))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Not the address: it may be a secret, as Slack's are.
        raise NotDelivered(
            f"{type(error).__name__}: {error}".replace(url, "(the address)")
        ) from error
    if not response.is_success:
        asked = response.headers.get("Retry-After", "")
        after = float(asked) if asked.isdigit() else None
        raise NotDelivered(f"the receiver answered {response.status_code}", after=after)
    return response
