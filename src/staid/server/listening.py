"""Serving on one loopback address until somebody stops it."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn

from staid.domain.errors import AddressUnusable, UsageInvalid
from staid.project.project import Project
from staid.server.app import create_app
from staid.server.auth.sessions import Sessions

GRACE = 15
"""Seconds that a request under way gets to finish after a signal to stop."""


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket on a loopback address; raise `UsageInvalid`, `AddressUnusable`."""
    address = _loopback(host)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port that was in use a moment ago is free again; one that is in use now stays refused.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        detail = "another process listens there" if taken else (error.strerror or str(error))
        raise AddressUnusable(address=f"{host}:{port}", detail=detail) from error
    return listener


def _loopback(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    name = "127.0.0.1" if host == "localhost" else host
    try:
        address = ipaddress.ip_address(name)
    except ValueError as error:
        hint = "Use 127.0.0.1, ::1 or localhost."
        raise UsageInvalid(detail=f"{host} is not an address", hint=hint) from error
    if not address.is_loopback:
        raise UsageInvalid(
            detail=f"other machines reach {host}, and a sign-in link is not enough there",
            hint="Serve on 127.0.0.1 and come in by a tunnel: ssh -L 8420:127.0.0.1:8420 HOST",
        )
    return address


def origin(listener: socket.socket) -> str:
    """Return the address of a listening socket as a browser writes it."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def listen(
    project: Project, listener: socket.socket, principal: str, ready: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` gets the sign-in link once the store is open."""
    sessions = Sessions(project.wiring.clock)
    host = str(listener.getsockname()[0])
    app = create_app(project, sessions=sessions, hosts={"127.0.0.1", "localhost", "::1", host})
    # No access log: it would keep sign-in links.
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE,
    )
    ready(f"{origin(listener)}/sign-in?token={sessions.invite(principal)}")
    try:
        asyncio.run(_Server(config).serve(sockets=[listener]))
    finally:
        project.close()


class _Server(uvicorn.Server):
    """Ends by returning: uvicorn would raise the signal again after its shutdown."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take the signals that mean "stop" while serving."""
        stops = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, self.handle_exit) for each in stops}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
