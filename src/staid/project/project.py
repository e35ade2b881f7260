"""One project = one tenant = one store: the object that users build their agent with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from staid.domain.errors import AgentNotFound, ToolInvalid, ToolUnknown
from staid.domain.ids import RunId
from staid.domain.principal import Principal
from staid.project.settings import AgentSettings, Settings, load

if TYPE_CHECKING:
    from staid.domain.call import CallRecord
    from staid.gates.tool import Tool
    from staid.project.parts import Wiring
    from staid.runtime.agent import Agent, Asker
    from staid.runtime.guard import Guard

P = ParamSpec("P")
R = TypeVar("R")


class Project:
    """Registers tools and agents; opens store, index and models only when they are needed."""

    loading: ClassVar[ContextVar[Path | None]] = ContextVar("staid_loading", default=None)
    """The folder whose entry module is being run, so that `Project()` there finds its own."""

    def __init__(self, directory: str | Path | None = None) -> None:
        """Read `staid.toml` at `directory`, by default the nearest one upward."""
        start = Path(directory) if directory else (self.loading.get() or Path.cwd())
        self.settings: Settings = load(start)
        self.tools: dict[str, Tool] = {}
        self._agents: dict[str, Agent] = {}
        self._declared: dict[str, Mapping[str, Any]] = {}

    def tool(self, name: str, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:  # noqa: ANN401 - the options are those of gates.tool.define
        """Register a function as a tool with its bounds; the function itself stays as it is.

        Options are those of `staid.gates.tool.define`: effect, result, requires_approval, budget,
        constraints, approvers, timeout, expires_after, evidence, preview, reconcile, undo, breaker.
        """

        def register(function: Callable[P, R]) -> Callable[P, R]:
            from staid.gates.tool import define

            self.add_tool(define(function, name, **options))
            return function

        return register

    def add_tool(self, tool: Tool) -> None:
        """Register a tool; raise `ToolInvalid` when the name is taken."""
        if tool.name in self.tools:
            raise ToolInvalid(tool=tool.name, detail="the name is registered twice")
        self.tools[tool.name] = tool

    def agent(
        self,
        name: str,
        *,
        instructions: str | None = None,
        tools: Sequence[str] | None = None,
        model: str | None = None,
    ) -> Agent:
        """Return the agent of this name; `staid.toml` wins over what is said here.

        `instructions` is a file of the project. `tools` is the allowlist. Every tool has to be
        registered by the time the agent is asked.
        """
        given = {"instructions": instructions, "allow_tools": tools, "model": model}
        self._declared[name] = {key: value for key, value in given.items() if value is not None}
        self._agents[name] = self._build(name)
        return self._agents[name]

    def agent_named(self, name: str | None = None) -> Agent:
        """Return an agent by name; without one the only agent, or `support`."""
        known = self.agent_names
        chosen = name or (known[0] if len(known) == 1 else "support")
        if chosen not in known:
            raise AgentNotFound(agent=chosen)
        if chosen not in self._agents:
            self._agents[chosen] = self._build(chosen)
        return self._agents[chosen]

    @property
    def agent_names(self) -> list[str]:
        """Names of all agents, from code and from `staid.toml`."""
        return sorted({*self._declared, *self.settings.agents})

    def agent_settings(self, name: str) -> AgentSettings:
        """Return an agent's settings: `staid.toml` over code over defaults."""
        configured = self.settings.agents.get(name, AgentSettings())
        said = configured.model_dump(exclude_unset=True)
        return AgentSettings.model_validate({**self._declared.get(name, {}), **said})

    def resolve_tools(self, agent: str) -> frozenset[str]:
        """Return an agent's allowlist; raise `ToolUnknown` for a name that is not registered."""
        return self._registered(self.agent_settings(agent).allow_tools or ())

    @cached_property
    def wiring(self) -> Wiring:
        """Everything behind the ports, opened on first use."""
        from staid.project.parts import Wiring

        return Wiring(self)

    def calls(self, run: str) -> Sequence[CallRecord]:
        """Return the calls that a run proposed, in order."""
        return self.wiring.ledger.calls(RunId(run))

    def close(self) -> None:
        """Close the store and the pool."""
        if "wiring" in self.__dict__:
            self.wiring.close()

    def _build(self, name: str) -> Agent:
        from staid.runtime.agent import Agent

        return Agent(
            lambda: self.wiring.agent_spec(name),
            lambda: self.wiring.parts,
            self._identify,
            name,
        )

    def _registered(self, names: Collection[str]) -> frozenset[str]:
        for name in sorted(set(names) - set(self.tools)):
            raise ToolUnknown(tool=name)
        return frozenset(names)

    def _identify(self, asker: str | Principal, groups: Sequence[str] | None) -> Asker:
        return self.wiring.identify(asker, groups)

    @cached_property
    def guard(self) -> Guard:
        """Put the gate before existing functions: `@project.guard("refund.issue", effect="write")`.

        The decorated function keeps its name and signature, sync or async. Called inside
        `with project.acting(…)` it executes at most once, raises `CallPending` while a human has to
        decide, and `CallDenied` outside its bounds. Options are those of `tool`.
        """
        from staid.project.guarding import guard_of

        return guard_of(self.add_tool, lambda: self.wiring)

    @contextmanager
    def acting(
        self,
        as_: str | Principal,
        agent: str,
        *,
        groups: Sequence[str] | None = None,
        key: str | None = None,
        tools: Sequence[str] | None = None,
    ) -> Generator[RunId]:
        """Let guarded functions act for an asker, as an agent that runs elsewhere.

        The same call under the same `key` is executed once, across processes and restarts. `tools`
        is the agent's allowlist; None allows every guarded function.
        """
        who = self.wiring.identify(as_, groups)
        allowed = self._registered(tools) if tools is not None else None
        upstream = who.upstream | {f"agent:{agent}"}
        with self.guard.acting(
            who.principal, agent, key=key, allowed=allowed, upstream=upstream
        ) as run:
            yield run

    @contextmanager
    def sandbox(self) -> Generator[Project]:
        """Give a copy of this project whose runs leave no trace and whose effects do not happen.

        It searches the same knowledge under the same rights; runs, approvals and hand-offs go to a
        store of its own that is thrown away, and writing tools return instead of acting.
        """
        from staid.project.sandbox import harmless, sandboxed

        copy = Project(self.settings.directory_path)
        copy.tools.update({name: harmless(tool) for name, tool in self.tools.items()})
        copy.declare(self.declared())
        with sandboxed(copy) as wiring:
            copy.wiring = wiring
            try:
                yield copy
            finally:
                copy.close()

    def declared(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what code said about each agent."""
        return dict(self._declared)

    def declare(self, declared: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over what code said about each agent of another project object."""
        self._declared.update(declared)
