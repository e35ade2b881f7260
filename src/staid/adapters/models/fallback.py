"""The next model when one does not answer, and the cost cap of one run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from staid.domain.errors import ModelTooDear, ModelUnavailable
from staid.domain.message import ModelRequest, ModelResponse, Usage
from staid.domain.ports import ModelClient


class FallbackModel:
    """Asks the models in order and returns the first response, or raises `ModelUnavailable`.

    Moves on when a model is unavailable or takes longer than `timeout` seconds, and for no other
    reason: any other error is a defect or a decision, and another model must not paper over it.
    """

    def __init__(self, models: Sequence[ModelClient], timeout: float) -> None:
        """Take at least one model; `timeout` seconds apply to each of them."""
        if not models:
            message = "a fallback needs at least one model"
            raise ValueError(message)
        self._models = tuple(models)
        self._timeout = timeout

    @property
    def name(self) -> str:
        """The first model's name; the response says which one answered."""
        return self._models[0].name

    async def generate(self, request: ModelRequest) -> ModelResponse:
        """Return the first response that comes in time; the error holds every reason."""
        reasons: list[str] = []
        for model in self._models:
            try:
                async with asyncio.timeout(self._timeout):
                    return await model.generate(request)
            except ModelUnavailable as error:
                reasons.append(str(error.values.get("detail", error.message)))
            except TimeoutError:
                reasons.append(f"{model.name} did not answer within {self._timeout:g} s")
        raise ModelUnavailable(detail="; ".join(reasons))


@dataclass(slots=True)
class CostMeter:
    """Adds up what one run spends; once the cap is reached, no further request starts."""

    cap: Decimal
    """US dollars."""
    spent: Decimal = Decimal(0)
    """US dollars so far; a resumed run starts with what it spent before it was parked."""

    def check(self) -> None:
        """Raise `ModelTooDear` when nothing is left."""
        if self.spent >= self.cap:
            raise ModelTooDear(cap=self.cap)

    def add(self, usage: Usage) -> None:
        """Count the cost of one response."""
        self.spent += usage.cost


@dataclass(frozen=True, slots=True)
class CappedModel:
    """A model client for one run: the request after the cap was reached is never sent.

    A cap bounds what starts, not what a request turns out to cost: the request that crosses the
    cap is paid for and its response returned. Where a price is unknown, its cost counts as 0.
    """

    client: ModelClient
    meter: CostMeter

    @property
    def name(self) -> str:
        """The name of the model behind."""
        return self.client.name

    async def generate(self, request: ModelRequest) -> ModelResponse:
        """Return the model's response; raise `ModelTooDear` before sending one too many."""
        self.meter.check()
        response = await self.client.generate(request)
        self.meter.add(response.usage)
        return response


def capped(client: ModelClient, cap: Decimal | None, spent: Decimal = Decimal(0)) -> ModelClient:
    """Return a client for one run that stops at the cap; without a cap, the client itself."""
    return client if cap is None else CappedModel(client, CostMeter(cap, spent))


def for_run(client: ModelClient, spent: Decimal = Decimal(0)) -> ModelClient:
    """Return the client with a meter of its own for one run, where it has a cap at all.

    Call it once at the start of every run; `spent` is what a resumed run has spent already.
    """
    if isinstance(client, CappedModel):
        return CappedModel(client.client, CostMeter(client.meter.cap, spent))
    return client
