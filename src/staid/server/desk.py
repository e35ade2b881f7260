"""What every handler works at: the project, who is signed in, and the pool before the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ParamSpec, TypeVar, cast

from fastapi import Depends
from starlette.requests import Request

from staid.domain.errors import AskerDisabled, AskerUnknown, NotSignedIn
from staid.domain.outcome import Outcome
from staid.domain.principal import Principal
from staid.project.project import Project
from staid.server.auth.cookie import session_of
from staid.server.auth.sessions import Sessions
from staid.server.inbox import Inbox
from staid.server.reader import Reader

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """One per application."""

    project: Project
    sessions: Sessions

    def off_loop(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Run a blocking function in the project's pool."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self.project.wiring.pool, partial(function, *args, **kwargs))


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in, with rights as of now."""

    desk: Desk
    principal: Principal
    surface: str = "api"
    """Where what is read will be shown: `api` or `console`."""

    @property
    def reader(self) -> Reader:
        """What this principal may see; its methods block, so call them through `read`."""
        return Reader(self.desk.project, self.principal, self.surface)

    @property
    def inbox(self) -> Inbox:
        """What waits for this principal; its methods block, so call them through `read`."""
        return Inbox(self.desk.project, self.principal, self.reader)

    def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Run a method of the reader or the inbox in the project's pool."""
        return self.desk.off_loop(function, *args, **kwargs)

    async def ask(
        self, text: str, agent: str | None, conversation: str | None, key: str | None
    ) -> Outcome:
        """Ask as the one who is signed in."""
        asked = self.desk.project.agent_named(agent or None)
        return await asked.ask(
            text, asker=self.principal, conversation=conversation or None, key=key
        )


def desk_of(request: Request) -> Desk:
    """Return the desk of the application that a request came to."""
    return cast("Desk", request.app.state.desk)


async def visit(request: Request) -> Visit:
    """Return who is signed in, resolved against the directory now; raise `NotSignedIn`."""
    desk = desk_of(request)
    session = session_of(request)
    token = desk.sessions.principal(session)
    try:
        asker = await desk.off_loop(desk.project.wiring.identify, token, None)
    except (AskerUnknown, AskerDisabled) as error:
        desk.sessions.end(session)
        raise NotSignedIn from error
    surface = "api" if request.url.path.startswith("/api/") else "console"
    return Visit(desk, asker.principal, surface)


SignedIn = Annotated[Visit, Depends(visit)]
"""A handler's parameter of this type lets only signed-in readers in."""
