"""From `[sinks.NAME]` to a sink, and to the rules of what may leave for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from staid.domain.errors import SettingsInvalid, SinkNotFound
from staid.domain.exports import Attribute, Sink
from staid.project.settings import FILE, Settings, secret
from staid.tracing.alias import alias_of, is_alias
from staid.tracing.disclosure import Disclosure
from staid.tracing.redaction import NameFinder, Rules, redact

if TYPE_CHECKING:
    from staid.project.sink_settings import SinkSettings

VERSION = "staid.version"


def open_sink(settings: Settings, name: str) -> Sink:
    """Return a sink ready to use; raise `SinkNotFound`, `SecretMissing`."""
    from staid.adapters.sinks.presets import SinkPlan, sink_of

    found = settings.sinks.get(name)
    if found is None:
        raise SinkNotFound(sink=name)
    base = settings.directory_path
    plan = SinkPlan(
        name=name,
        kind=found.kind,
        url=found.url or "",
        path=found.path,
        project=found.project or settings.project.name,
        key=secret(found.key, base) if found.key else "",
        space=found.space or "",
        headers={key: secret(value, base) for key, value in found.headers.items()},
        timeout=found.timeout,
        folder=base,
    )
    return sink_of(plan)


LISTS = "lists"


def name_finder(settings: Settings) -> NameFinder | None:
    """Return what finds names of people, by `[redaction] names`; None where nothing is set.

    Raises `SettingsInvalid` where it cannot be loaded, and `ExtraMissing`.
    """
    wanted = settings.redaction.names
    if wanted is None:
        return None
    if wanted == LISTS:
        from staid.adapters.names import listed_names

        return listed_names()
    from staid.project.modules import module_of

    module, _, function = wanted.partition(":")
    try:
        found = getattr(module_of(settings.directory_path, module), function)
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
        raise _unnamed(settings, detail) from error
    if not callable(found):
        raise _unnamed(settings, f"{wanted} is no function")
    return cast("NameFinder", found)


def _unnamed(settings: Settings, detail: str) -> SettingsInvalid:
    file = settings.directory_path / FILE
    told = f"it is lists, or module:function of a function from a text to places ({detail})"
    return SettingsInvalid(key="redaction.names", file=file, detail=told)


def disclosure_of(sink: SinkSettings, key: bytes, names: NameFinder | None = None) -> Disclosure:
    """Return what may leave for a sink: people go under the journal's alias."""
    rules = Rules(level="masked", names=names)
    return Disclosure(
        level=sink.content,
        label=sink.holds,
        passages=sink.passages,
        redact=lambda value: redact(value, rules),
        alias=lambda token: token if is_alias(token) else alias_of(key, token),
    )


def attributes_of(settings: Settings, name: str) -> dict[str, Attribute]:
    """Return what every span for a sink bears: release, environment, and where it belongs."""
    from staid import __version__

    found = settings.sinks[name]
    told: dict[str, Attribute] = {VERSION: __version__}
    if found.environment:
        told["deployment.environment.name"] = found.environment
    if found.kind == "langfuse":
        told["langfuse.release"] = __version__
        if found.environment:
            told["langfuse.environment"] = found.environment
    if found.kind == "langsmith" and found.environment:
        told["langsmith.metadata.environment"] = found.environment
    if found.kind == "arize":
        told |= {"arize.space_id": found.space or "", "arize.project.name": found.project or ""}
    return told
