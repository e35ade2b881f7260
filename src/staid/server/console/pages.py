"""Templates to responses: escaped always, times with their zone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from staid.domain.canonical import Json, canonical, decimal_text
from staid.gates.structuring import span as window
from staid.project.stopping import runs_gates
from staid.server.console.visible import Verbatim, harmless, visible
from staid.server.desk import Visit, desk_of
from staid.tracing.scale import placed
from staid.tracing.waterfall import Span

HEADLINE = 80
"""Characters of arguments that a headline takes; the table below has them all."""

_TEMPLATES = Path(__file__).parent.parent / "templates"


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    visit: Visit | None = None,
    **values: object,
) -> HTMLResponse:
    """Return a page for whoever is signed in, or for nobody."""
    desk = desk_of(request)
    text = (
        _environment()
        .get_template(template)
        .render(
            project=desk.project.settings.project.name,
            principal=visit.principal.token if visit else None,
            path=request.url.path,
            operates=visit is not None and runs_gates(desk.project, visit.principal),
            now=desk.project.wiring.clock.now(),
            **values,
        )
    )
    return HTMLResponse(text, status)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "moment": moment,
        "machine": machine,
        "span": span,
        "argument": argument,
        "field": field,
        "visible": visible,
        "short": short,
        "money": decimal_text,
        "share": share,
        "window": window,
        "mark": mark,
        "briefly": briefly,
        "ticked": ticked,
        "took": took,
    }
    environment.filters.update(filters)
    return environment


def moment(value: datetime) -> str:
    """Return a time for a person, in UTC and saying so."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def machine(value: datetime) -> str:
    """Return a time for a `datetime` attribute."""
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def span(value: timedelta) -> str:
    """Return a length of time in its largest whole unit; what is negative is `0 minutes`."""
    seconds = max(int(value.total_seconds()), 0)
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size or unit == "minute":
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return ""


def argument(value: Json) -> str:
    """Return an argument of a call: texts as they are, everything else as canonical JSON."""
    return value if isinstance(value, str) else canonical(value)


def field(value: Json) -> Verbatim:
    """Return an argument as a form carries it: unchanged, so that what comes back is the same."""
    return Verbatim(argument(value))


def short(text: str) -> bool:
    """Return whether a text fits into a headline."""
    return len(text) <= 2 * HEADLINE and "\n" not in text.strip()


def share(drawn: Decimal, limit: Decimal) -> str:
    """Return how much of a limit is drawn as a length of the bar, 0 to 200."""
    return f"{min(drawn / limit, Decimal(1)) * 200:.1f}"


def briefly(arguments: Mapping[str, Json]) -> str:
    """Return arguments short enough for a headline, with a comma before; else nothing."""
    told = ", ".join(f"{name} {argument(value)}" for name, value in arguments.items())
    return f", {told}" if 0 < len(told) <= HEADLINE else ""


def ticked(text: str) -> Markup:
    """Return escaped text with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


@dataclass(frozen=True, slots=True)
class Bar:
    """A span as it stands in the drawing, in units of the picture."""

    span: Span
    x: float
    width: float
    y: int
    depth: int


AXIS = 600
"""Width of the waterfall's axis."""
ROW = 24
"""Height of one of its rows."""


def bars(spans: Sequence[Span]) -> list[Bar]:
    """Return the spans of a waterfall where they stand; each is wide enough to be seen."""
    depth: dict[int, int] = {}
    drawn: list[Bar] = []
    for row, (span, (start, end)) in enumerate(zip(spans, placed(spans), strict=True)):
        depth[span.id] = depth.get(span.parent or 0, -1) + 1
        width = max((end - start) * AXIS, 3)
        x = min(start * AXIS, AXIS - width)
        drawn.append(Bar(span, round(x, 1), round(width, 1), row * ROW, depth[span.id]))
    return drawn


def took(milliseconds: float) -> str:
    """Return a length of time in its largest fitting unit, with one decimal."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if milliseconds >= size:
            return f"{milliseconds / size:.1f} {unit}"
    return f"{milliseconds:.1f} ms"


def mark(value: float) -> str:
    """Return a value between 0 and 1 as a length of the meter, 0 to 200."""
    return f"{max(0.0, min(1.0, value)) * 200:.1f}"
