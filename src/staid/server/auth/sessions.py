"""Sign-in links and sessions, kept on the server, by hash, for the life of one process."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from staid.domain.errors import NotSignedIn, SignInLinkInvalid
from staid.domain.ports import Clock

LINK_LIFE = timedelta(minutes=15)
"""How long a sign-in link waits to be opened."""
SESSION_LIFE = timedelta(hours=12)
"""How long a session lasts, however busy it is: a working day."""


@dataclass(frozen=True, slots=True)
class _Grant:
    """Whom a link or a session stands for, and until when."""

    token: str
    until: datetime


class Sessions:
    """Gives each secret out once and keeps only its hash; safe to call from many threads."""

    def __init__(self, clock: Clock) -> None:
        """Begin with nobody signed in."""
        self._clock = clock
        self._lock = threading.Lock()
        self._links: dict[str, _Grant] = {}
        self._sessions: dict[str, _Grant] = {}

    def invite(self, principal: str) -> str:
        """Return the secret of a new link, good for one sign-in as this principal."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._links[_hashed(secret)] = _Grant(principal, self._clock.now() + LINK_LIFE)
        return secret

    def exchange(self, link: str) -> str:
        """Spend a link and return the id of a new session; raise `SignInLinkInvalid`."""
        now = self._clock.now()
        with self._lock:
            grant = self._links.pop(_hashed(link), None)
            if grant is None or now >= grant.until:
                raise SignInLinkInvalid(minutes=int(LINK_LIFE.total_seconds() // 60))
            session = secrets.token_urlsafe(32)
            self._forget(now)
            self._sessions[_hashed(session)] = _Grant(grant.token, now + SESSION_LIFE)
        return session

    def principal(self, session: str | None) -> str:
        """Return the token of the principal a session stands for; raise `NotSignedIn`."""
        with self._lock:
            grant = self._sessions.get(_hashed(session)) if session else None
        if grant is None or self._clock.now() >= grant.until:
            raise NotSignedIn
        return grant.token

    def end(self, session: str | None) -> None:
        """End a session; one that is unknown is already over."""
        if session:
            with self._lock:
                self._sessions.pop(_hashed(session), None)

    def _forget(self, now: datetime) -> None:
        self._sessions = {key: held for key, held in self._sessions.items() if now < held.until}


def _hashed(secret: str) -> str:
    # The secrets have 256 random bits, so a plain hash cannot be guessed back.
    return sha256(secret.encode()).hexdigest()
