"""What stands before every handler: host, origin and size of a request, headers of a response."""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from staid.domain.errors import RequestForeign, StaidError, UsageInvalid

LARGEST_BODY = 256 * 1024
"""Bytes of one request; the longest question fits several times."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""No script at all: there is none to ship, so none that was smuggled in can run."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # `no-referrer` would make the Origin of every form `null`
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

log = logging.getLogger("staid.server")


class Shield:
    """Refuses foreign requests before a handler runs; puts the security headers on everything."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: frozenset[str],
        refuse: Callable[[Request, StaidError], Response],
    ) -> None:
        """Let in requests for these host names alone; tell refusals with `refuse`."""
        self._app = app
        self._hosts = hosts
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, static=scope["path"].startswith("/static/"))
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            _check_origin(scope["method"], headers)
            await self._app(scope, _limited(headers, receive), answer)
        except StaidError as error:
            await self._refuse(Request(scope), error)(scope, receive, answer)
        except Exception:
            log.exception("a request failed in a way that Staid does not know")
            if answer.started:
                raise
            await self._refuse(Request(scope), StaidError())(scope, receive, answer)

    def _check_host(self, headers: Headers) -> None:
        # A page of another site whose name was pointed at this machine still names that site here.
        named = headers.getlist("host")
        if len(named) != 1 or _hostname(named[0]) not in self._hosts:
            raise RequestForeign(detail="its Host header names another machine")


class _Answer:
    """Sends a response with the headers that every response carries."""

    def __init__(self, send: Send, *, static: bool) -> None:
        self._send = send
        self._static = static
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers["Cache-Control"] = "no-cache" if self._static else "no-store"
        await self._send(message)


def _check_origin(method: str, headers: Headers) -> None:
    """Raise unless an unsafe method comes from this console itself, or from no browser.

    Every browser of these years sends `Sec-Fetch-Site` or at least `Origin` with a POST. What
    sends neither must be JSON, which no page of another site can send unasked.
    """
    if method in _SAFE:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        raise RequestForeign(detail="another site's page sent it")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise RequestForeign(detail="its Origin is another site")
    if site is None and origin is None and not _is_json(headers):
        raise RequestForeign(detail="it names no Origin")


def _is_json(headers: Headers) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip() == "application/json"


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _limited(headers: Headers, receive: Receive) -> Receive:
    """Return `receive` with a limit on the body; raise `UsageInvalid` when it is announced."""
    stated = headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated) > LARGEST_BODY:
        raise _too_large()
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST_BODY:
            raise _too_large()
        return message

    return limited


def _too_large() -> UsageInvalid:
    hint = "Ask a shorter question; put documents into a source and ingest them."
    return UsageInvalid(detail=f"a request has at most {LARGEST_BODY // 1024} KiB", hint=hint)
