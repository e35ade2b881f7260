"""What goes to a model and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from staid.domain.canonical import Json
from staid.domain.passage import Passage

MALFORMED_ARGUMENTS = "(malformed arguments)"
"""The one argument of a proposed call whose arguments were no JSON object: the model's raw text.

A gate denies such a call by schema, whatever the tool takes.
"""


@dataclass(frozen=True, slots=True)
class ProposedCall:
    """A use of a tool that a model proposed; not yet one of ours."""

    id: str
    """The provider's id: pairs the result with the proposal in the next request, nothing else."""
    tool: str
    arguments: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation with a model."""

    role: Literal["user", "assistant", "tool"]
    text: str
    calls: tuple[ProposedCall, ...] = ()
    """On `assistant`: the calls it proposed."""
    call_id: str | None = None
    """On `tool`: the provider's id of the call whose result this is."""
    tool: str | None = None
    """On `tool`: the tool's name."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it."""

    name: str
    description: str
    schema: Mapping[str, Json]
    """JSON Schema of the arguments."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """Everything one model request is made of; nothing else is ever sent."""

    instructions: str
    messages: tuple[Message, ...]
    """Earlier turns first; the last `user` message is the question."""
    evidence: tuple[Passage, ...]
    """Passages the answer may rest on; empty below the floor."""
    tools: tuple[ToolSpec, ...]
    question: str
    revise: str | None = None
    """On a revision: what the support check found wrong with the last draft."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    """US dollars; 0 where the price is not known."""


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """What a model returned: a draft, or calls, or both."""

    text: str
    calls: tuple[ProposedCall, ...]
    model: str
    """The model that answered, fallback resolved."""
    usage: Usage = Usage()
    reasoning: str | None = None
    """The provider's own account of its thinking, where it gives one."""
    labelled: str | None = None
    """A note the asker must see with the text, such as `scripted`."""
    sent: str | None = None
    """SHA-256 of the texts that were sent, in order; None where no text is sent to anybody."""
    prompt: tuple[str, str, str] | None = None
    """Name, version and SHA-256 of the template that rendered the request, where there is one."""
