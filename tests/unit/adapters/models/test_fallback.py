"""Fallback and cost cap: who is asked next, when nobody is, and what the error says."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from staid.adapters.models.fallback import FallbackModel, capped, for_run
from staid.domain.errors import ModelTooDear, ModelUnavailable
from staid.domain.message import Message, ModelRequest, ModelResponse, Usage

REQUEST = ModelRequest("", (Message("user", "q"),), (), (), "q")


class Stub:
    """Answers, fails or hangs as told, and counts how often it was asked."""

    def __init__(self, name: str, *, fails: Exception | None = None, hangs: bool = False) -> None:
        self.name = name
        self.asked = 0
        self._fails = fails
        self._hangs = hangs

    async def generate(self, request: ModelRequest) -> ModelResponse:
        """Do what the constructor was told."""
        self.asked += 1
        if self._hangs:
            await asyncio.Event().wait()
        if self._fails is not None:
            raise self._fails
        return ModelResponse("hi", (), self.name, Usage(10, 5, Decimal("0.30")))


def test_the_first_that_answers_is_named_and_the_rest_is_not_asked() -> None:
    """After an unavailable and a hanging model the third answers; the fourth is left alone."""
    models = [
        Stub("a", fails=ModelUnavailable(detail="a: it failed")),
        Stub("b", hangs=True),
        Stub("c"),
        Stub("d"),
    ]
    response = asyncio.run(FallbackModel(models, timeout=0.05).generate(REQUEST))
    assert response.model == "c"
    assert [model.asked for model in models] == [1, 1, 1, 0]


def test_when_nobody_answers_the_error_has_every_reason() -> None:
    """The last error names why each of the models did not answer."""
    models = [Stub("a", fails=ModelUnavailable(detail="a: it failed")), Stub("b", hangs=True)]
    with pytest.raises(ModelUnavailable) as caught:
        asyncio.run(FallbackModel(models, timeout=0.05).generate(REQUEST))
    assert caught.value.message.endswith("a: it failed; b did not answer within 0.05 s")


@pytest.mark.parametrize("error", [ModelTooDear(cap=1), RuntimeError("a defect")])
def test_any_other_error_is_not_papered_over(error: Exception) -> None:
    """A defect or a reached cap goes up as it is, and the next model is not asked."""
    spare = Stub("b")
    with pytest.raises(type(error)):
        asyncio.run(FallbackModel([Stub("a", fails=error), spare], timeout=1).generate(REQUEST))
    assert spare.asked == 0


def test_a_fallback_of_nothing_is_refused() -> None:
    """A fallback without models is a mistake at the place where it is made."""
    with pytest.raises(ValueError, match="at least one"):
        FallbackModel([], timeout=1)


def test_the_request_after_the_cap_is_never_sent() -> None:
    """At 30 cents a request, a cap of 50 cents lets two start and no third."""
    model = Stub("a")
    client = capped(model, Decimal("0.50"))
    asyncio.run(client.generate(REQUEST))
    asyncio.run(client.generate(REQUEST))
    with pytest.raises(ModelTooDear, match=r"0\.50"):
        asyncio.run(client.generate(REQUEST))
    assert model.asked == 2


def test_a_cap_of_nothing_sends_nothing() -> None:
    """With a cap of 0 not even the first request starts."""
    model = Stub("a")
    with pytest.raises(ModelTooDear):
        asyncio.run(capped(model, Decimal(0)).generate(REQUEST))
    assert model.asked == 0


def test_every_run_has_a_meter_of_its_own() -> None:
    """What one run spent leaves the next run's cap whole, and a resumed run keeps what it spent."""
    client = capped(Stub("a"), Decimal("0.50"))
    for _ in range(2):
        run = for_run(client)
        asyncio.run(run.generate(REQUEST))
        asyncio.run(run.generate(REQUEST))
    with pytest.raises(ModelTooDear):
        asyncio.run(for_run(client, spent=Decimal("0.60")).generate(REQUEST))


def test_without_a_cap_the_client_stays_itself() -> None:
    """No cap, no wrapper: neither `capped` nor `for_run` puts anything in between."""
    model = Stub("a")
    assert capped(model, None) is model
    assert for_run(model) is model
