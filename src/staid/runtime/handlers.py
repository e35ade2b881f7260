"""Running what a tool's author wrote: handlers, previews and probes, sync or async."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread

from pydantic import BaseModel

from staid.domain.call import Effect
from staid.domain.errors import NotDone
from staid.gates.approval import Move
from staid.gates.breaker import Ended
from staid.gates.ledger import Settlement
from staid.gates.structuring import span
from staid.gates.tool import Call, Tool, recorded

MOST_WORDS = 10_000
"""Characters of an error that are kept: a service may send a whole page as its message."""

_abandoned: dict[str, set[object]] = {}
"""By tool; a set is changed in one step, so it takes no lock that a fork could inherit held."""


def hung(tool: str) -> int:
    """Return how much of a tool's code runs on in this process though nobody waits for it."""
    return len(_abandoned.get(tool, ()))


def abandon(tool: str, running: asyncio.Task[object] | Future[object]) -> None:
    """Count what nobody waits for any more among what hangs, until it ends."""
    held = _abandoned.setdefault(tool, set())
    held.add(running)
    running.add_done_callback(held.discard)


async def invoke(tool: Tool, params: BaseModel, call: Call) -> object:
    """Run a tool's handler to its end."""
    if tool.takes_call:
        return await called(tool.name, tool.handler, params, call)
    return await called(tool.name, tool.handler, params)


async def called(tool: str, function: Callable[..., object], *arguments: object) -> object:
    """Call a function of a tool's author: async ones here, sync ones in a thread of their own.

    A thread whose caller gives up runs on, and counts as `hung` until it ends.
    """
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    running = _in_thread(function, *arguments)
    try:
        value = await asyncio.wrap_future(running)
    except asyncio.CancelledError:
        abandon(tool, running)
        raise
    return await value if inspect.isawaitable(value) else value


def _in_thread(function: Callable[..., object], *arguments: object) -> Future[object]:
    # Not from a pool: a handler that hangs would take a worker away for good, and a daemon thread
    # lets the process end.
    future: Future[object] = Future()
    future.set_running_or_notify_cancel()  # who waits may give up; what runs still ends by itself
    context = copy_context()

    def work() -> None:
        try:
            value = context.run(function, *arguments)
        except Exception as error:  # noqa: BLE001 - carried to the one who waits
            future.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - a handler's `sys.exit` ends the handler
            future.set_exception(RuntimeError(f"the handler raised {_words(error)}"))
        else:
            future.set_result(value)

    Thread(target=work, daemon=True, name="staid-handler").start()
    return future


def _words(error: BaseException) -> str:
    """Return type and words of an error; the type alone where it raises when it is asked."""
    name = type(error).__name__
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - an author's own `__str__`; how the call ended is known
        return name
    more = len(said) - MOST_WORDS
    return f"{name}: {said[:MOST_WORDS]}" + (f" … and {more} characters more" if more > 0 else "")


def settlement_of(task: asyncio.Task[object], tool: Tool) -> Settlement:
    """Say what became of the handler; of a write that did not return nobody knows."""
    harmless = Move.FAIL if tool.effect is Effect.READ else Move.DOUBT
    if not task.done():
        told = f"The handler did not return within {span(tool.timeout)}."
        return Settlement(harmless, error=told, ended=Ended.FAILED)
    if task.cancelled():
        return Settlement(harmless, error="The handler was cancelled.")
    error = task.exception()
    if error is None:
        return Settlement(Move.SUCCEED, recorded(task.result()), ended=Ended.ANSWERED)
    told = _words(error)
    if isinstance(error, NotDone):
        return Settlement(Move.FAIL, error=told, ended=Ended.REFUSED)
    return Settlement(harmless, error=told, ended=Ended.FAILED)
