"""Every provider of Pydantic AI behind the `ModelClient` port; the turn loop stays ours.

One request, one response, through Pydantic AI's direct API: no agent, no tool is run here. What a
provider says when it fails may hold parts of a key, so reasons are made of categories alone.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from dataclasses import replace
from typing import cast
from weakref import WeakKeyDictionary

from pydantic_ai import exceptions
from pydantic_ai.direct import model_request
from pydantic_ai.models import Model, infer_model
from pydantic_ai.settings import ModelSettings

from staid.adapters.models import wire
from staid.domain.errors import ModelKeyMissing, ModelUnavailable, ModelUnknown
from staid.domain.message import ModelRequest, ModelResponse

_STORING = ("openai", "openai-responses", "azure-responses")
"""Providers that keep what they are sent unless told not to."""
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    # The first that fits is said, so the special ones stand before the general ones.
    (exceptions.ModelTimeoutError, "the connection timed out"),
    (exceptions.ModelConnectionError, "it could not be reached"),
    (exceptions.ModelRateLimitError, "its rate limit was reached"),
    (exceptions.ModelQuotaExceededError, "the account's quota is exhausted"),
    (exceptions.ModelOverloadedError, "it is overloaded"),
    (exceptions.ModelUnavailableError, "it is unavailable"),
    (exceptions.ModelAuthenticationError, "it rejected the key"),
    (exceptions.ModelNotFoundError, "it does not know the model"),
    (exceptions.ModelContextWindowExceededError, "the request is too long for it"),
    (exceptions.ModelRequestRejectedError, "it rejected the request"),
    (exceptions.ModelServerError, "it failed"),
    (exceptions.ContentFilterError, "its content filter stopped the response"),
    (exceptions.UnexpectedModelBehavior, "its response could not be understood"),
)


class PydanticAiModel:
    """Asks one provider, and answers with a response or `ModelUnavailable`, within the time-out.

    The provider's own client repeats transient failures (two more attempts at most); the time-out
    covers all of them. No other error leaves `generate`, and no reason holds what a provider sent.
    """

    def __init__(self, name: str, *, timeout: float) -> None:
        """Find provider and key now: raises `ModelUnknown` or `ModelKeyMissing`."""
        self._name = name
        self._timeout = timeout
        self._spare: Model | None = _infer(name)
        # A connection belongs to the event loop that opened it; `ask_sync` has loops of its own.
        self._models: WeakKeyDictionary[asyncio.AbstractEventLoop, Model] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The model's name as configured: `provider:model`."""
        return self._name

    async def generate(self, request: ModelRequest) -> ModelResponse:
        """Return the model's next message; raise `ModelUnavailable` when there is none."""
        names = wire.tool_names(request)
        history, parameters = wire.messages(request, names), wire.parameters(request, names)
        try:
            model = self._model()
            # Leaving closes the connections, so that no loop ends with one still open.
            async with model:
                answer = await model_request(
                    model,
                    history,
                    model_settings=self._settings(),
                    model_request_parameters=parameters,
                )
            came = wire.response(answer, request, names, self._name)
            return replace(came, sent=wire.sent_digest(history, parameters))
        except Exception as error:  # noqa: BLE001  # whatever a provider does, the port has one error
            detail = f"{self._name}: {self._reason(error)}"
        # Raised outside the handler: what the provider sent must not travel along as a context.
        raise ModelUnavailable(detail=detail)

    def _model(self) -> Model:
        with self._lock:
            loop = asyncio.get_running_loop()
            model = self._models.get(loop) or self._spare or _infer(self._name)
            self._spare = None
            self._models[loop] = model
            return model

    def _settings(self) -> ModelSettings:
        settings: dict[str, object] = {"request_timeout": self._timeout}
        if self._name.partition(":")[0] in _STORING:
            settings["openai_store"] = False
        return cast("ModelSettings", settings)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, exceptions.ModelRequestTimeout):
            return f"it did not answer within {self._timeout:g} s"
        said = next((reason for kind, reason in _REASONS if isinstance(error, kind)), None)
        reason = said or f"unexpected {type(error).__name__}"
        if isinstance(error, exceptions.ModelHTTPError):
            return f"{reason} (HTTP {error.status_code}{_code(error)})"
        return reason


def _code(error: exceptions.ModelHTTPError) -> str:
    # A provider's error code is a fixed word; anything that looks otherwise is not repeated.
    code = error.provider_error_code or error.provider_error_type or ""
    return f", {code}" if re.fullmatch(r"[a-z]+(?:_[a-z]+){0,6}", code) else ""


def _infer(name: str) -> Model:
    # A secret that a CI system left empty is set, but no key; a local server may need none.
    kind = name.partition(":")[0].partition("-")[0].upper()
    if os.environ.get(f"{kind}_API_KEY") == "" and not os.environ.get(f"{kind}_BASE_URL"):
        raise ModelKeyMissing(model=name, variable=f"{kind}_API_KEY")
    try:
        return infer_model(name)
    except ImportError as error:
        package = re.search(r"pydantic-ai-slim\[([\w-]+)\]", str(error))
        extra = package[1] if package else name.partition(":")[0]
        hint = f'Install its provider: pip install "pydantic-ai-slim[{extra}]"'
        raise ModelUnknown(model=name, hint=hint) from error
    except exceptions.UserError as error:
        variable = re.search(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", str(error))
        if variable is None:
            raise ModelUnknown(model=name) from error
        raise ModelKeyMissing(model=name, variable=variable[0]) from error
