"""Async work for a caller that is not async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from threading import Thread
from typing import Any


def blocking(work: Callable[[], Coroutine[Any, Any, object]]) -> object:
    """Run async work for a sync caller, also when that caller sits inside a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    outcome: list[object] = []
    errors: list[BaseException] = []
    context = copy_context()

    def run() -> None:
        try:
            outcome.append(context.run(lambda: asyncio.run(work())))
        except BaseException as error:  # noqa: BLE001 - raised again for the caller below
            errors.append(error)

    thread = Thread(target=run, name="staid-guard")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]
