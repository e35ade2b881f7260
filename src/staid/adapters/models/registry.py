"""Model names to model clients: `quote`, `scripted:FILE`, or any provider of Pydantic AI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from threading import Lock

from staid.adapters.models.fallback import FallbackModel, capped, for_run
from staid.domain.errors import ModelUnknown
from staid.domain.ports import ModelClient


def model_client(
    name: str,
    *,
    base: Path,
    timeout: float,
    max_cost: Decimal | None = None,
    fallback: Sequence[str] = (),
) -> ModelClient:
    """Return a client that is able to ask: every name is known and every key is there.

    `base` is the folder that `scripted:FILE` is relative to; `timeout` is in seconds, for each
    model and request; `fallback` names further models, in order. With `max_cost` (US dollars) the
    client carries a meter and is good for one run; `model_source` makes one for each. Nothing of a
    provider is imported before its name is asked for here.

    Raises `ModelUnknown`, `ModelKeyMissing`, `ScriptInvalid`.
    """
    models = [_single(each, base=base, timeout=timeout) for each in (name, *fallback)]
    client = models[0] if len(models) == 1 else FallbackModel(models, timeout)
    return capped(client, max_cost)


def model_source(
    name: str,
    *,
    base: Path,
    timeout: float,
    max_cost: Decimal | None = None,
    fallback: Sequence[str] = (),
) -> Callable[[], ModelClient]:
    """Return what makes the client of one run: cheap to call, and every run has its own meter.

    Nothing is imported, read or checked before the first call, which raises as `model_client` does.
    """
    lock = Lock()
    made: list[ModelClient] = []

    def source() -> ModelClient:
        with lock:
            if not made:
                made.append(
                    model_client(
                        name, base=base, timeout=timeout, max_cost=max_cost, fallback=fallback
                    )
                )
            return for_run(made[0])

    return source


def _single(name: str, *, base: Path, timeout: float) -> ModelClient:
    if name == "quote":
        from staid.adapters.models.quote import QuoteModel

        return QuoteModel()
    provider, colon, rest = name.partition(":")
    if not (colon and provider.strip() and rest.strip()):
        raise ModelUnknown(model=name or '""')
    if provider == "scripted":
        from staid.adapters.models.scripted import ScriptedModel

        return ScriptedModel(base / rest, name=name)
    from staid.adapters.models.pydantic_ai import PydanticAiModel

    return PydanticAiModel(name, timeout=timeout)
