"""The evidence chain of a run: statement, passage, document, source, and who could see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

from staid.domain.canonical import Json, canonical
from staid.domain.events import EventKind, JournalRow
from staid.domain.label import Label
from staid.domain.principal import PUBLIC
from staid.tracing.record import Record, body_of, fact_of, short

RESULT = 600
"""Characters of a tool's result that the chain shows."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What the project knows of a source now."""

    owner: str | None
    vetted: bool


@dataclass(frozen=True, slots=True)
class Used:
    """A passage that was found, and what became of it."""

    fact: int
    rank: int
    document: str | None
    """`source/id`; None where it is withheld, and then so is everything else."""
    version: str = ""
    chunk: str = ""
    title: str = ""
    similarity: float = 0.0
    vector_rank: int | None = None
    lexical_rank: int | None = None
    fused: float | None = None
    fate: str = "evidence"
    """`evidence`: a model might use it; `kept`: below the floor; else why it was cut."""
    owner: str | None = None
    vetted: bool | None = None
    """Of its source, as of now; None where the project no longer knows the source."""
    readers: str = ""
    """Who could read it when it was found, in words."""


@dataclass(frozen=True, slots=True)
class Backed:
    """A statement of the draft with what backs it."""

    fact: int
    statement: int
    text: str | None
    """None where it is withheld or erased."""
    support: float | None
    findings: tuple[str, ...] = ()
    document: str | None = None
    """`source/id`; None where the result of a tool is closer, or nothing is."""
    version: str | None = None
    chunk: str | None = None
    start: int | None = None
    end: int | None = None
    quote: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A call that ended, as something an answer may rest on."""

    fact: int
    call: str
    tool: str
    state: str
    result: str | None
    """As canonical JSON, cut; None where there is none, or it is withheld or erased."""


@dataclass(frozen=True, slots=True)
class Basis:
    """Everything an outcome rests on, and what it could have rested on."""

    statements: tuple[Backed, ...]
    results: tuple[Result, ...]
    passages: tuple[Used, ...]
    """What was found by the last search, best first: evidence, kept, cut."""


def basis(
    record: Record, origins: Mapping[str, Origin], tokens: frozenset[str] | None = None
) -> Basis:
    """Return the evidence chain, with nothing of what the record's reader may not read."""
    kept = tuple(_kept(record, row, origins, tokens) for row in record.kept)
    cut = tuple(_cut(record, origins))
    names = {used.chunk: used.document for used in kept if used.document}
    return Basis(
        statements=tuple(_backed(record, row, names) for row in record.draft),
        results=tuple(_results(record)),
        passages=tuple(sorted((*kept, *cut), key=lambda used: used.rank)),
    )


def _compared(record: Record) -> JournalRow | None:
    compared = record.last(EventKind.FLOOR_COMPARED)
    return compared if compared is not None and not record.silent(compared) else None


def _kept(
    record: Record,
    row: JournalRow,
    origins: Mapping[str, Origin],
    tokens: frozenset[str] | None,
) -> Used:
    if row.seq in record.hidden:
        return Used(row.seq, cast("int", row.fact["rank"]), None, fate="withheld")
    compared = _compared(record)
    evidence = cast("list[str]", compared.fact.get("evidence", []) if compared else [])
    fate = "evidence" if row.fact.get("chunk") in evidence else "kept"
    title = str(body_of(row).get("title") or "")
    used = _placed(row.seq, fact_of(row), fate, origins)
    return replace(used, title=title, readers=readers(row.label, tokens))


def _cut(record: Record, origins: Mapping[str, Origin]) -> Iterator[Used]:
    compared = _compared(record)
    found: Sequence[Mapping[str, Json]] = fact_of(compared).get("cut", []) if compared else []
    for cut in found:
        if (cut["source"], cut["document"]) in record.unnamed:
            yield Used(compared.seq if compared else 0, cast("int", cut["rank"]), None, fate="cut")
        else:
            yield _placed(compared.seq if compared else 0, cut, str(cut["why"]), origins)


def _placed(seq: int, fact: Mapping[str, Json], fate: str, origins: Mapping[str, Origin]) -> Used:
    source = str(fact.get("source", ""))
    origin = origins.get(source)
    return Used(
        fact=seq,
        rank=cast("int", fact["rank"]),
        document=f"{source}/{fact['document']}" if source else str(fact["document"]),
        version=str(fact.get("version", "")),
        chunk=str(fact.get("chunk", "")),
        similarity=cast("float", fact["similarity"]),
        vector_rank=cast("int | None", fact.get("vector_rank")),
        lexical_rank=cast("int | None", fact.get("lexical_rank")),
        fused=cast("float | None", fact.get("fused")),
        fate=fate,
        owner=origin.owner if origin else None,
        vetted=origin.vetted if origin else None,
    )


def _backed(record: Record, row: JournalRow, names: Mapping[str, str]) -> Backed:
    fact, body = fact_of(row), body_of(row)
    if row.seq in record.hidden:
        return Backed(row.seq, fact["statement"], None, None)
    return Backed(
        fact=row.seq,
        statement=fact["statement"],
        text=body.get("text"),
        support=fact["support"],
        findings=tuple(body.get("messages") or fact["findings"]),
        document=names.get(fact.get("chunk") or "", fact["document"]),
        version=fact.get("version"),
        chunk=fact.get("chunk"),
        start=fact.get("start"),
        end=fact.get("end"),
        quote=body.get("quote"),
    )


def _results(record: Record) -> Iterator[Result]:
    for life in record.calls.values():
        by = {row.kind: row for row in life}
        settled, executed = by.get(EventKind.CALL_SETTLED), by.get(EventKind.CALL_EXECUTED)
        if settled is None:
            continue
        fact, text = fact_of(settled), None
        if executed is not None and executed.seq not in record.hidden:
            body = body_of(executed)
            text = short(canonical(body["result"]), RESULT) if "result" in body else None
        yield Result(settled.seq, fact["call"], str(fact.get("tool", "")), fact["state"], text)


def readers(label: Label, tokens: frozenset[str] | None = None) -> str:
    """Return in words who may read what a label guards; with `tokens`, only these are named."""
    if not label.allow:
        return "nobody"
    clauses = [_clause(clause, tokens) for clause in label.allow if PUBLIC not in clause]
    who = "whoever holds " + ", and ".join(clauses) if clauses else "everybody"
    denied = sorted(label.deny) if tokens is None else []
    return who + (f", but not {', '.join(denied)}" if denied else "")


def _clause(clause: frozenset[str], tokens: frozenset[str] | None) -> str:
    named = sorted(clause if tokens is None else clause & tokens)
    others = ["another right"] if len(named) < len(clause) else []
    return " or ".join([*named, *others])


def basis_json(found: Basis) -> dict[str, Json]:
    """Return the chain as JSON: `evidence`, `results` and `passages`; withheld is null."""
    return {
        "evidence": [_json(each) for each in found.statements],
        "results": [_json(each) for each in found.results],
        "passages": [_json(each) for each in found.passages],
    }


def _json(each: Backed | Result | Used) -> dict[str, Json]:
    values = cast("dict[str, Json]", asdict(each))
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
