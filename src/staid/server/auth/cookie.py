"""The one cookie: an opaque session id that no script can read."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from staid.server.auth.sessions import SESSION_LIFE

_PLAIN, _HOST = "staid_session", "__Host-staid_session"


def session_of(request: Request) -> str | None:
    """Return the session id a request carries."""
    return request.cookies.get(_name(request))


def set_session(request: Request, response: Response, session: str) -> None:
    """Hand out a session id: HttpOnly, SameSite=Lax, over https Secure and the host's alone."""
    response.set_cookie(
        _name(request),
        session,
        max_age=int(SESSION_LIFE.total_seconds()),
        path="/",
        secure=_https(request),
        httponly=True,
        samesite="lax",
    )


def drop_session(request: Request, response: Response) -> None:
    """Take the session id back."""
    response.delete_cookie(
        _name(request), path="/", secure=_https(request), httponly=True, samesite="lax"
    )


def _https(request: Request) -> bool:
    return request.url.scheme == "https"


def _name(request: Request) -> str:
    return _HOST if _https(request) else _PLAIN
