"""How a run is told in a terminal: story, evidence, waterfall, why not, and two side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from staid.access.evaluate import permits
from staid.access.explain import explain
from staid.cli import output
from staid.domain.canonical import Json, canonical
from staid.domain.errors import DocumentNotFound, UsageInvalid
from staid.domain.events import EventKind
from staid.domain.principal import Principal
from staid.tracing.evidence import Backed, Used
from staid.tracing.record import Record, fact_of, short
from staid.tracing.why_not import (
    Present,
    Reason,
    why_not_answer,
    why_not_call,
    why_not_document,
)

if TYPE_CHECKING:
    from staid.domain.principal import PrincipalKind
    from staid.project.parts import Wiring
    from staid.tracing.difference import Aspect
    from staid.tracing.story import Step, Story
    from staid.tracing.waterfall import Span

BAR = 28
"""Columns of a bar in the waterfall."""
_SHOWN = 200


def story_lines(story: Story, *, steps: bool = False, spans: bool = False) -> list[str]:
    """Return a story for a person: a sentence a line, the deciding one marked, then its evidence.

    With `steps` every fact that says something, with `spans` what took how long.
    """
    lines = [f"{story.run}: {story.outcome}", ""]
    lines += _told(story.steps if steps else story.sentences)
    if story.deciding:
        lines += ["", *output.paragraph(f"What decided: {story.deciding.text}")]
    lines += _evidence_lines(story)
    if spans:
        lines += ["", "What took how long", *waterfall_lines(story.spans)]
    return lines


def _told(steps: Sequence[Step]) -> list[str]:
    lines: list[str] = []
    for step in steps:
        mark = "→ " if step.decided else "  "
        wrapped = output.paragraph(f"{step.text} [{_numbers(step.facts)}]", "    ")
        lines += [f"  {mark}{wrapped[0].strip()}", *wrapped[1:]]
    return lines


def _numbers(facts: Sequence[int]) -> str:
    """Return numbers of facts, neighbours as a range: `3-5,9`."""
    runs: list[list[int]] = []
    for number in sorted(set(facts)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{r[0]}-{r[-1]}" if len(r) > 2 else ",".join(map(str, r)) for r in runs)


# --- evidence -------------------------------------------------------------------------------------


def _evidence_lines(story: Story) -> list[str]:
    lines: list[str] = []
    for backed in story.basis.statements:
        lines += _backed_lines(backed)
    for result in story.basis.results:
        told = f": {short(result.result, _SHOWN)}" if result.result else ""
        lines += output.paragraph(f"{result.tool} {result.state}{told} [{result.fact}]", "  ")
    lines = ["", "What it rests on", *lines] if lines else []
    found = _found_lines(story.basis.passages)
    return [*lines, *(["", "What was found", *found] if found else [])]


def _backed_lines(backed: Backed) -> list[str]:
    said = "(withheld or erased)" if backed.text is None else f"“{short(backed.text, _SHOWN)}”"
    support = f" (support {backed.support:.2f})" if backed.support is not None else ""
    lines = output.paragraph(f"{backed.statement}. {said}{support} [{backed.fact}]", "  ")
    if backed.document:
        version = f", version {backed.version[:12]}" if backed.version else ""
        place = f", characters {backed.start}-{backed.end}" if backed.start is not None else ""
        quote = f": “{short(backed.quote, _SHOWN)}”" if backed.quote else ""
        lines += output.paragraph(f"{backed.document}{version}{place}{quote}", "     ")
    return [*lines, *(line for f in backed.findings for line in output.paragraph(f, "     ! "))]


_FATES = {
    "evidence": "evidence",
    "kept": "fell short",
    "below k": "lower",
    "named": "not named",
    "unvetted": "not vetted",
}


def _found_lines(passages: Sequence[Used]) -> list[str]:
    head = ("  rank", "cosine", "words", "became", "document")
    rows = [
        (f"  {u.rank}", f"{u.similarity:.2f}", u.lexical_rank or "–", _fate(u), u.document)
        if u.document
        else (f"  {u.rank}", "–", "–", "withheld", "–")
        for u in passages
    ]
    return [*output.table(head, rows, whole=5), *_seen_by(passages)]


def _fate(used: Used) -> str:
    return f"{_FATES.get(used.fate, used.fate)} [{used.fact}]"


def _seen_by(passages: Sequence[Used]) -> Iterator[str]:
    """Yield who owned and who could read the evidence, equal passages together."""
    ranks: dict[str, list[int]] = {}
    for used in passages:
        if used.document and used.readers:
            owner = f" (owner {used.owner})" if used.owner else ""
            told = f"{used.document.partition('/')[0]}{owner}: readable by {used.readers}"
            ranks.setdefault(told, []).append(used.rank)
    for told, which in ranks.items():
        yield from output.paragraph(f"{_numbers(which)}: {told}", "  ")


# --- waterfall ------------------------------------------------------------------------------------


def waterfall_lines(spans: Sequence[Span]) -> list[str]:
    """Return the spans as bars over one scale; waiting for people is drawn short and marked `~`."""
    if not spans:
        return ["  Nothing is recorded."]
    from staid.tracing.scale import placed

    lines: list[str] = []
    depth = {spans[0].id: 0}
    for span, (left, right) in zip(spans, placed(spans), strict=True):
        depth[span.id] = depth.get(span.parent or 0, -1) + 1
        start, end = round(left * BAR), max(round(right * BAR), round(left * BAR) + 1)
        fill = "~" if span.kind == "wait" else "#"
        bar = (" " * start + fill * (end - start)).ljust(BAR)[:BAR]
        name = f"{'  ' * depth[span.id]}{span.name}"
        detail = f"  {span.detail}" if span.detail else ""
        line = f"  {short(name, 22).ljust(22)} |{bar}| {duration(span):>9}{detail}"
        lines.append(short(line, output.width()))
    return lines


def duration(span: Span) -> str:
    """Return how long a span took, in its largest fitting unit."""
    value, more = span.duration, "+" if span.open else ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if value >= size:
            return f"{value / size:.1f} {unit}{more}"
    return f"{value:.1f} ms{more}"


# --- why not --------------------------------------------------------------------------------------


def why_not(wiring: Wiring, record: Record, asked: str) -> tuple[Reason, ...]:
    """Return why something did not happen: `document:ID`, `answer` or `call:TOOL`."""
    what, _, which = asked.partition(":")
    if what == "answer" and not which:
        return why_not_answer(record)
    if what == "call" and which:
        return why_not_call(record, which)
    if what == "document" and which:
        return why_not_document(record, which, _present(wiring, record, which))
    raise UsageInvalid(
        detail=f"--not {asked} is no question",
        hint="Ask for `document:ID`, `answer` or `call:TOOL`.",
    )


def _present(wiring: Wiring, record: Record, document: str) -> Present | None:
    """Return what is true of a document now, for the rights the asker had in the run."""
    try:
        found = wiring.corpus.find(document)
    except DocumentNotFound:
        return None
    scope = record.last(EventKind.SCOPE_RESOLVED)
    if scope is None:
        return None
    fact = fact_of(scope)
    kind, _, name = str(fact["asker"]).partition(":")
    # The token as recorded, whoever issued it: the label knows no more either.
    who = Principal("local", cast("PrincipalKind", kind), name, frozenset(fact["groups"]))
    told = explain(found.label, who, {})
    may_read = fact["may_read"]
    return Present(
        source=found.source,
        document=found.id,
        version=found.version,
        vetted=found.vetted,
        asker_may=told.allowed,
        path=told.path,
        agent_may=may_read is None or permits(found.label, frozenset(may_read)),
    )


def reason_lines(run: str, asked: str, reasons: Sequence[Reason]) -> list[str]:
    """Return the answer to a why-not question for a person; the first reason decides."""
    lines = [f"{run}: why not {asked}?", ""]
    for reason in reasons:
        since = "" if reason.as_of == "then" else " (as of now)"
        facts = f" [{_numbers(reason.facts)}]" if reason.facts else ""
        lines += output.paragraph(f"{reason.verdict}{since}: {reason.text}{facts}", "  ")
    return lines


# --- two runs -------------------------------------------------------------------------------------


def compare_lines(runs: Sequence[str], aspects: Sequence[Aspect]) -> list[str]:
    """Return what differs between two runs, the earliest first, then what is the same."""
    differing = [aspect for aspect in aspects if aspect.differs]
    lines = [f"A  {runs[0]}", f"B  {runs[1]}", ""]
    if not differing:
        return [*lines, "Nothing differs in what was asked, found, ruled and said."]
    lines += [f"What differs first: {differing[0].name}", ""]
    for aspect in differing:
        lines += [aspect.name, *_sided("A", aspect.first), *_sided("B", aspect.second)]
    same = ", ".join(aspect.name for aspect in aspects if not aspect.differs)
    return [*lines, "", *output.paragraph(f"The same in both: {same or 'nothing'}.")]


def _sided(side: str, value: Json) -> Iterator[str]:
    told = list(_values(value))
    yield from output.paragraph(f"{side}  {told[0]}", "  ")
    for line in told[1:]:
        yield from output.paragraph(line, "     ")


def _values(value: Json) -> list[str]:
    match value:
        case None:
            return ["–"]
        case str():
            return [short(value, _SHOWN)]
        case list() if value:
            return [short(_plain(item), _SHOWN) for item in value]
        case list():
            return ["none"]
        case _:
            return [short(_plain(value), _SHOWN)]


def _plain(value: Json) -> str:
    if isinstance(value, dict) and "chunk" in value:
        short_of = "" if value.get("evidence") else ", fell short"
        return f"{value['document']} version {str(value['version'])[:12]}{short_of}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    return value if isinstance(value, str) else canonical(value)
