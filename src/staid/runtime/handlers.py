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
from staid.gates.tool import Call, Tool, recorded


async def invoke(tool: Tool, params: BaseModel, call: Call) -> object:
    """Run a tool's handler to its end."""
    if tool.takes_call:
        return await called(tool.handler, params, call)
    return await called(tool.handler, params)


async def called(function: Callable[..., object], *arguments: object) -> object:
    """Call a function of the tool's author: async ones here, sync ones in a thread of their own."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    value = await asyncio.wrap_future(_in_thread(function, *arguments))
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
            future.set_exception(RuntimeError(f"the handler raised {error!r}"))
        else:
            future.set_result(value)

    Thread(target=work, daemon=True, name="staid-handler").start()
    return future


def settlement_of(task: asyncio.Task[object], tool: Tool) -> Settlement:
    """Say what became of the handler; of a write that did not return nobody knows."""
    harmless = Move.FAIL if tool.effect is Effect.READ else Move.DOUBT
    if not task.done():
        told = f"The handler did not return within {tool.timeout}."
        return Settlement(harmless, error=told, ended=Ended.FAILED)
    if task.cancelled():
        return Settlement(harmless, error="The handler was cancelled.")
    error = task.exception()
    if error is None:
        return Settlement(Move.SUCCEED, recorded(task.result()), ended=Ended.ANSWERED)
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, NotDone):
        return Settlement(Move.FAIL, error=told, ended=Ended.REFUSED)
    return Settlement(harmless, error=told, ended=Ended.FAILED)
