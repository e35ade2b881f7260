"""`staid.toml`: found upward, validated, every key overridable by the environment."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from staid.domain.errors import ProjectNotFound, SecretMissing, SettingsInvalid
from staid.project.sink_settings import SinkSettings

FILE = "staid.toml"
DEFAULT_FLOOR = 0.55

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LISTS = frozenset(
    {
        "anchor",
        "allow_tools",
        "may_read",
        "fallback",
        "approvers",
        "operators",
        "command",
        "read",
        "write",
        "deny",
        "to",
        "kinds",
    }
)
_RESERVED = frozenset({"STAID_DATA", "STAID_SEED", "STAID_PROJECT", "STAID_JOURNAL_KEY"})


def seconds(value: object) -> object:
    """Turn `30s`, `5m`, `180d` into seconds; anything else is left for validation to refuse."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value) if isinstance(value, str) else None
    return float(found[1]) * _UNITS[found[2]] if found else value


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
"""Seconds, written as `30s`, `5m`, `180d`."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProjectSettings(_Strict):
    """`[project]`."""

    name: str = "staid"
    store: str = "sqlite:///.staid/staid.db"
    busy_timeout: Duration = 10.0
    """How long to wait for another process that writes to an SQLite store."""
    entry: str | None = None
    address: str | None = None
    """Where people reach the console, for links: `https://staid.example.com`."""


class AgentSettings(_Strict):
    """`[agents.NAME]`."""

    model: str = "quote"
    allow_tools: list[str] | None = None
    may_read: list[str] | None = None
    instructions: str | None = None
    timeout: Duration = 30.0
    max_cost: Decimal | None = None
    fallback: list[str] = Field(default_factory=list[str])
    canned: str | None = None
    """A YAML file of vetted small talk: question -> reply."""


class GroundingSettings(_Strict):
    """`[grounding]`."""

    floor: float = Field(default=DEFAULT_FLOOR, ge=0, le=1)
    floor_reason: str | None = None
    signal: Literal["confidence", "similarity"] = "confidence"


class SourceSettings(_Strict):
    """`[sources.NAME]`."""

    path: str
    vetted: bool = True
    owner: str | None = None
    review_every: Duration | None = None
    acl: str | None = None
    map: dict[str, str] = Field(default_factory=dict[str, str])


class DirectorySettings(_Strict):
    """`[directory]`."""

    file: str | None = None


class GateSettings(_Strict):
    """`[gates]`."""

    approvers: list[str] = Field(default_factory=list[str])
    """Tokens that may decide approvals whose tool names no approvers; empty: any other user."""
    policy: str | None = None
    """The file of rules over tool calls: `policy.yaml`; read once by each process."""
    operators: list[str] = Field(default_factory=list[str])
    """Tokens that may stop tools and start them again; empty: the approvers, else any user."""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class JournalSettings(_Strict):
    """`[journal]`."""

    anchor: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list[str])
    """Places outside that are told the newest seal: `file:PATH`, `webhook:URL`."""
    anchor_every: Duration = 600.0
    """How long the worker waits between two anchors for the same place."""


class McpSettings(_Strict):
    """`[mcp.NAME]`: an MCP server behind the gateway."""

    command: list[str] = Field(default_factory=list[str])
    url: str | None = None
    env: dict[str, str] = Field(default_factory=dict[str, str])
    read: list[str] = Field(default_factory=list[str])
    """Patterns of tools that only look; everything unnamed waits for a person."""
    write: list[str] = Field(default_factory=list[str])
    deny: list[str] = Field(default_factory=list[str])
    trusted: list[str] = Field(default_factory=list[str])
    """Patterns of tools whose results are records; all else anybody may have written."""
    errors: Literal["in_doubt", "nothing"] = "in_doubt"
    resources: bool = False
    timeout: Duration = 30.0

    @model_validator(mode="after")
    def _reachable(self) -> McpSettings:
        if bool(self.command) == bool(self.url):
            message = "a server has either a command or a url"
            raise ValueError(message)
        return self


class NotifySettings(_Strict):
    """`[notify.NAME]`: a channel that people are told through."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    kind: Literal["webhook", "slack", "email"]
    url: str | None = None
    """Of a webhook, or of Slack's incoming webhook; by reference."""
    secret: str | None = None
    """Signs a webhook; by reference."""
    token: str | None = None
    channel: str | None = None
    server: str | None = None
    """Of e-mail: `smtp://…` or `smtps://…`, by reference."""
    sender: str | None = None
    to: list[str] = Field(default_factory=list[str])
    kinds: list[Literal["approval", "escalated", "in_doubt", "handoff"]] = Field(
        default=["approval", "escalated", "in_doubt"], alias="for"
    )
    details: bool = False
    """Whether values of arguments are shown, and the preview."""

    @model_validator(mode="after")
    def _reachable(self) -> NotifySettings:
        needs = {
            "webhook": ("url", "secret"),
            "slack": ("token", "channel") if self.token else ("url",),
            "email": ("server", "sender", "to"),
        }[self.kind]
        missing = [name for name in needs if not getattr(self, name)]
        if missing:
            message = f"a channel of kind {self.kind} needs {' and '.join(missing)}"
            raise ValueError(message)
        return self


class RetentionSettings(_Strict):
    """`[retention]`: how long content of each class is kept; None keeps it."""

    conversation: Duration | None = None
    passages: Duration | None = None
    model: Duration | None = None
    calls: Duration | None = None
    feedback: Duration | None = None


class ServerSettings(_Strict):
    """`[server]`."""

    metrics: bool = False
    """Whether `/metrics` tells counts to whoever can reach the server, without signing in."""
    insights: list[str] = Field(default_factory=list[str])
    """Tokens of those who may see the counts of everybody's runs in the console; empty: nobody."""


class RedactionSettings(_Strict):
    """`[redaction]`: what is masked for sinks beside what has a form of its own."""

    names: str | None = None
    """`lists`, from the extra `names`; or your own finder as `module:function`; unset: none."""


class Settings(_Strict):
    """Everything in `staid.toml`, with the folder it was found in."""

    directory_path: Path
    project: ProjectSettings = ProjectSettings()
    agents: dict[str, AgentSettings] = Field(default_factory=dict[str, AgentSettings])
    grounding: GroundingSettings = GroundingSettings()
    sources: dict[str, SourceSettings] = Field(default_factory=dict[str, SourceSettings])
    directory: DirectorySettings = DirectorySettings()
    gates: GateSettings = GateSettings()
    journal: JournalSettings = JournalSettings()
    server: ServerSettings = ServerSettings()
    mcp: dict[str, McpSettings] = Field(default_factory=dict[str, McpSettings])
    notify: dict[str, NotifySettings] = Field(default_factory=dict[str, NotifySettings])
    retention: RetentionSettings = RetentionSettings()
    redaction: RedactionSettings = RedactionSettings()
    sinks: dict[str, SinkSettings] = Field(default_factory=dict[str, SinkSettings])

    @property
    def state(self) -> Path:
        """The folder that Staid writes to."""
        return self.directory_path / ".staid"

    def path(self, relative: str) -> Path:
        """Return a path of the project, absolute."""
        return (self.directory_path / relative).resolve()

    def store_url(self) -> str:
        """Return the store's URL, secrets resolved, SQLite paths absolute."""
        url = secret(self.project.store, self.directory_path)
        if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
            return f"sqlite:///{self.path(url.removeprefix('sqlite:///'))}"
        return url


def find(start: Path) -> Path:
    """Return the nearest folder upward that holds a `staid.toml`; raise `ProjectNotFound`."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FILE).is_file():
            return folder
    raise ProjectNotFound(directory=start)


def load(directory: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read and validate the settings of the project at `directory` or above it."""
    folder = find(directory)
    file = folder / FILE
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsInvalid(key="(file)", file=file, detail=error) from error
    override(raw, os.environ if environment is None else environment)
    try:
        settings = Settings(directory_path=folder, **raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(file)"
        raise SettingsInvalid(key=key, file=file, detail=first["msg"]) from error
    _check_floor(settings, file)
    return settings


def _check_floor(settings: Settings, file: Path) -> None:
    grounding = settings.grounding
    if grounding.floor < DEFAULT_FLOOR and not (grounding.floor_reason or "").strip():
        detail = f"a floor below {DEFAULT_FLOOR} needs floor_reason, which readiness shows"
        raise SettingsInvalid(key="grounding.floor", file=file, detail=detail)


def override(raw: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Lay `STAID_…` variables over the file: `STAID_GROUNDING_FLOOR=0.6`, `STAID_STORE=…`.

    The name is the key's path in capitals, `project.` left out, every other character `_`.
    """
    names = {_variable(path): path for path in _paths(raw)}
    for variable, value in environment.items():
        if variable.startswith("STAID_") and variable not in _RESERVED and variable in names:
            _put(raw, names[variable], value)


def _variable(path: tuple[str, ...]) -> str:
    shown = path[1:] if path[0] == "project" else path
    return "STAID_" + re.sub(r"[^A-Z0-9]", "_", "_".join(shown).upper())


def _paths(raw: Mapping[str, Any]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for section, model in (
        ("project", ProjectSettings),
        ("grounding", GroundingSettings),
        ("directory", DirectorySettings),
        ("gates", GateSettings),
        ("server", ServerSettings),
        ("retention", RetentionSettings),
        ("journal", JournalSettings),
    ):
        found += [(section, key) for key in model.model_fields]
    for section, model in (
        ("agents", AgentSettings),
        ("sources", SourceSettings),
        ("mcp", McpSettings),
        ("notify", NotifySettings),
        ("sinks", SinkSettings),
    ):
        for name in raw.get(section, {}):
            found += [(section, name, key) for key in model.model_fields]
    return found


def _put(raw: dict[str, Any], path: tuple[str, ...], value: str) -> None:
    table = raw
    for part in path[:-1]:
        table = cast("dict[str, Any]", table.setdefault(part, {}))
    many = path[-1] in _LISTS
    table[path[-1]] = [v.strip() for v in value.split(",") if v.strip()] if many else value


def secret(reference: str, base: Path) -> str:
    """Return the value behind `env:NAME` or `file:PATH`; anything else is returned as it is."""
    if reference.startswith("env:"):
        value = os.environ.get(reference.removeprefix("env:"))
        if not value:
            raise SecretMissing(reference=reference)
        return value
    if reference.startswith("file:"):
        try:
            return (base / reference.removeprefix("file:")).read_text("utf-8").strip()
        except OSError as error:
            raise SecretMissing(reference=reference) from error
    return reference
