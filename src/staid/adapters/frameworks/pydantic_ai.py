"""The gate before the tools of a Pydantic AI agent.

```python
bounds = {"refund": {"effect": "write", "requires_approval": large}}
toolset = gated(project.guard, [refund], bounds=bounds)
agent = Agent(model, toolsets=[toolset])
with project.acting("user:ada", agent="crew", key="ticket-4711"):
    await agent.run("…")
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic_ai import FunctionToolset, RunContext
from pydantic_ai.exceptions import ApprovalRequired
from pydantic_ai.messages import (
    BaseToolReturnPart,
    CachePoint,
    CompactionPart,
    ModelMessage,
    SpeechPart,
    TextContent,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool, WrapperToolset

from staid.adapters.frameworks.wrapping import Bounds, Pending, Wrapped, told, tool_name, waits
from staid.domain.call import CallState
from staid.domain.canonical import Json
from staid.gates.sources import Origin, Source, Texts, result_sources
from staid.gates.tool import recorded
from staid.runtime.guard import Guard

Deps = TypeVar("Deps")


def gated(
    guard: Guard,
    tools: AbstractToolset[Deps] | Sequence[Callable[..., Any]],
    *,
    bounds: Bounds,
    pending: Pending = "tell",
) -> AbstractToolset[Deps]:
    """Return a toolset whose every call is ruled on, and carried out at most once.

    `tools` is any toolset, an MCP one too, or plain functions. With `pending="pause"` a call that
    waits raises `ApprovalRequired`, so that the run ends with deferred requests; whatever the
    framework is told about them, the call is carried out only after a decision in Staid.
    """
    inner: Any = tools if isinstance(tools, AbstractToolset) else FunctionToolset(list(tools))
    return GatedToolset(inner, guard, bounds, pending)


@dataclass
class GatedToolset(WrapperToolset[Deps]):
    """A toolset with the gate before it."""

    guard: Guard = field(repr=False)
    bounds: Bounds
    pending: Pending = "tell"
    known: dict[str, Wrapped] = field(default_factory=dict[str, Wrapped], repr=False)

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Deps], tool: ToolsetTool[Deps]
    ) -> Any:  # noqa: ANN401 - whatever the tool returns
        """Carry out a call that may run; else return to the model why it did not."""

        async def inner(arguments: Mapping[str, Json]) -> object:
            # Read again by the framework's own rules: its function takes dates, models and such.
            args = tool.args_validator.validate_python(dict(arguments), context=None)
            return await self.wrapped.call_tool(name, args, ctx, tool)

        passed = await self._wrapped_tool(name, tool).call(
            tool_args, inner, self.seen(ctx.messages)
        )
        if passed.record.state is CallState.DONE:
            return passed.value
        if waits(passed.record) and self.pending == "pause":
            raise ApprovalRequired(metadata={"approval": passed.record.approval})
        return told(passed)

    def seen(self, messages: Sequence[ModelMessage]) -> Texts:
        """Return what the model has seen: prompts are the user's, results as far as trusted."""
        parts = [part for message in messages for part in message.parts]
        sources = [source for part in parts for source in self._texts(part)]
        return Texts(sources, whole=all(map(_readable, parts)))

    def _texts(self, part: object) -> Iterator[Source]:
        if isinstance(part, UserPromptPart):
            yield from (Source("prompt", Origin.USER, t, "the asker's words") for t in _said(part))
        elif isinstance(part, BaseToolReturnPart):
            # A provider's own tool (a web search) and a failure are nobody's records.
            own = isinstance(part, ToolReturnPart) and part.outcome == "success"
            trusted = own and self.guard.trusts(tool_name(part.tool_name))
            result = recorded(part.content)
            yield from result_sources(part.tool_call_id, part.tool_name, result, trusted)

    def _wrapped_tool(self, name: str, tool: ToolsetTool[Deps]) -> Wrapped:
        if name not in self.known:
            definition = tool.tool_def
            self.known[name] = Wrapped(
                self.guard,
                name,
                definition.description or "",
                definition.parameters_json_schema,
                self.bounds,
            )
        return self.known[name]


def _said(part: UserPromptPart) -> Iterator[str]:
    for each in [part.content] if isinstance(part.content, str) else part.content:
        if isinstance(each, str | TextContent):
            yield each if isinstance(each, str) else each.content


def _readable(part: object) -> bool:
    """Return whether all that a part told the model is text: nobody here reads an image."""
    match part:
        case SpeechPart() | CompactionPart():
            return False
        case UserPromptPart(content=str()):
            return True
        case UserPromptPart():
            return all(isinstance(each, str | TextContent | CachePoint) for each in part.content)
        case BaseToolReturnPart():
            return not part.files
        case _:
            return True
