"""Why something did not happen in a run: a document not used, no answer, a call that did not run.

Pure: what the journal says comes from the record; what is true of a document now comes in as
`Present`, found out by whoever may know it. A finding says whether it is of then or of now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from staid.domain.canonical import Json
from staid.domain.events import EventKind, JournalRow
from staid.tracing.deciding import deciding
from staid.tracing.record import Record, body_of, fact_of
from staid.tracing.telling import sentence

AsOf: TypeAlias = Literal["then", "now"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, and where it is known from."""

    verdict: str
    """Stable word: `cited`, `not cited`, `below floor`, `cut`, `may not read`, `absent`, …"""
    text: str
    facts: tuple[int, ...] = ()
    as_of: AsOf = "then"
    """`then`: the journal says it; `now`: it is so today, and the journal does not say more."""


@dataclass(frozen=True, slots=True)
class Present:
    """What is true now of a document that somebody asks about."""

    source: str
    document: str
    version: str
    vetted: bool
    asker_may: bool
    """Whether its present label permits the groups that the asker had in the run."""
    path: tuple[str, ...]
    """Why, from `access explain`."""
    agent_may: bool
    """Whether its present label permits what the agent may read."""


# --- a document -----------------------------------------------------------------------------------


def why_not_document(record: Record, wanted: str, present: Present | None) -> tuple[Reason, ...]:
    """Return why a document, named by id or `source/id`, was not in the answer; the first decides.

    `present` is None where the corpus has no such document now.
    """
    if not record.searched:
        text = "Nothing was searched in this run, so no document could be found."
        return (Reason("not searched", text),)
    found = _found(record, wanted)
    if found:
        return found
    cut = _cut(record, wanted)
    if cut:
        return cut
    return tuple(_not_found(record, wanted, present))


def _named(wanted: str, fact: Mapping[str, Json]) -> bool:
    return wanted in (fact.get("document"), f"{fact.get('source')}/{fact.get('document')}")


def _found(record: Record, wanted: str) -> tuple[Reason, ...]:
    kept = [row for row in record.kept if _named(wanted, row.fact)]
    if not kept:
        return ()
    compared = record.last(EventKind.FLOOR_COMPARED)
    facts = tuple(row.seq for row in kept)
    ranks = ", ".join(str(row.fact["rank"]) for row in kept)
    evidence = cast("list[str]", compared.fact.get("evidence", []) if compared else [])
    chunks = {str(row.fact["chunk"]) for row in kept}
    if compared and not chunks & set(evidence):
        text = f"It was found (rank {ranks}), but {compared.fact['message']}."
        return (Reason("below floor", text, (*facts, compared.seq)),)
    citing = [row for row in record.draft if row.fact.get("chunk") in chunks]
    if citing:
        numbers = ", ".join(str(row.fact["statement"]) for row in citing)
        text = f"It was found (rank {ranks}) and backs statement {numbers} of the draft."
        return (Reason("cited", text, (*facts, *(row.seq for row in citing))),)
    text = f"It was found (rank {ranks}) and given to the model, but no statement rests on it."
    return (Reason("not cited", text, facts),)


_CUT = {
    "below k": "others ranked higher, and only the best are given to a model",
    "named": "it does not carry the name that the question asks about",
    "unvetted": "it is not vetted, and what is not vetted never grounds an answer",
}


def _cut(record: Record, wanted: str) -> tuple[Reason, ...]:
    compared = record.last(EventKind.FLOOR_COMPARED)
    cut = cast("list[Mapping[str, Json]]", compared.fact.get("cut", []) if compared else [])
    for passage in cut:
        if compared and _named(wanted, passage):
            why = str(passage["why"])
            text = f"It was found as rank {passage['rank']} and cut: {_CUT.get(why, why)}."
            return (Reason("cut", text, (compared.seq,)),)
    return ()


def _not_found(record: Record, wanted: str, present: Present | None) -> Iterator[Reason]:
    searched = record.searched
    done = record.rows[searched - record.rows[0].seq]
    if cast("int", done.fact.get("withheld") or 0):
        count = done.fact["withheld"]
        text = f"{count} found passages were dropped because rights had just changed; it may be one"
        yield Reason("dropped", f"{text}, the record does not say which.", (searched,))
    if present is None:
        text = f"The corpus has no document {wanted} now, and the search did not find it then."
        yield Reason("absent", text, (searched,), "now")
        return
    kept_out = list(_kept_out(present, searched))
    yield from kept_out
    k = cast("int", done.fact.get("k") or 0)
    if cast("int", done.fact["found"]) < k:
        # Fewer than asked for means the whole view: what is in it now came in since.
        since = "." if kept_out else ": it was added, vetted or opened later."
        yield Reason(
            "not in view then", f"It was not in what was searched then{since}", (searched,)
        )
        return
    if kept_out:
        return  # it is not in the view now, so nothing follows for its rank
    best = f"the best {k}" if k else "the best"
    text = f"As things are now it is in the asker's view: if it was then, it ranked below {best}"
    yield Reason("ranked below", f"{text} of {done.fact['view']} chunks.", (searched,), "now")


def _kept_out(present: Present, searched: int) -> Iterator[Reason]:
    """Yield what keeps a document out of the view, as of now."""
    named = f"{present.source}/{present.document}"
    if not present.asker_may:
        why = "; ".join(present.path)
        text = f"The asker, with the groups of the run, may not read {named}: {why}."
        yield Reason("may not read", text, (searched,), "now")
    if not present.agent_may:
        text = f"The agent may not read {named}: its `may_read` has none of the rights asked for."
        yield Reason("agent may not read", text, (searched,), "now")
    if not present.vetted:
        text = f"The source of {named} is not vetted: it never grounds an answer."
        yield Reason("unvetted", text, (searched,), "now")


# --- an answer ------------------------------------------------------------------------------------


def why_not_answer(record: Record) -> tuple[Reason, ...]:
    """Return why a run did not end with an answer, and what would have been needed."""
    decided = deciding(record)
    outcome = record.outcome
    if outcome == "answer":
        seq = (decided.seq,) if decided else ()
        return (Reason("answered", "It did answer.", seq),)
    if decided is None:
        last = record.rows[-1] if record.rows else None
        text = "No outcome is recorded: the run was cut off, or its turn is not Staid's."
        return (Reason(outcome, text, (last.seq,) if last else ()),)
    told = sentence(record, decided) or decided.kind.value
    needed = _needed(record, decided)
    return (Reason(outcome, f"{told}{needed}", (decided.seq,)),)


def _needed(record: Record, decided: JournalRow) -> str:
    if record.silent(decided):
        return ""
    fact = fact_of(decided)
    match decided.kind:
        case EventKind.FLOOR_COMPARED if fact["decision"] == "weak" and fact.get("rule") == "floor":
            value = fact[fact.get("signal", "confidence")]
            return f" It lacked {fact['floor'] - value:.2f}."
        case EventKind.FLOOR_COMPARED if fact["decision"] == "empty":
            return " A vetted document that the asker may read would have been needed."
        case EventKind.STATEMENT_CHECKED:
            return " Every statement has to be backed."
        case EventKind.APPROVAL_REQUESTED:
            return " The run goes on when somebody decides."
        case _:
            return ""


# --- a call ---------------------------------------------------------------------------------------


def why_not_call(record: Record, tool: str) -> tuple[Reason, ...]:
    """Return what became of every call of a tool; where there was none, whether it was offered."""
    proposed = list(record.all(EventKind.CALL_PROPOSED, tool=tool))
    if not proposed:
        return (_never_proposed(record, tool),)
    lives = record.calls
    return tuple(_ending(lives[str(row.fact["call"])]) for row in proposed)


def _never_proposed(record: Record, tool: str) -> Reason:
    asked = list(record.all(EventKind.MODEL_REQUESTED))
    if not asked:
        text = f"No model was asked in this run, so nobody could propose {tool}."
        return Reason("no model asked", text)
    seqs = tuple(row.seq for row in asked)
    if not any(tool in cast("list[str]", row.fact.get("tools", [])) for row in asked):
        text = f"{tool} was not offered to the model: the agent may not use it, or it was stopped."
        return Reason("not offered", text, seqs)
    return Reason("never proposed", f"{tool} was offered, and the model never proposed it.", seqs)


def _ending(life: Sequence[JournalRow]) -> Reason:
    by = {row.kind: row for row in life}
    facts = tuple(row.seq for row in life)
    settled, doubt = by.get(EventKind.CALL_SETTLED), by.get(EventKind.CALL_IN_DOUBT)
    if settled is not None:
        state = str(settled.fact["state"])
        return Reason(state, _SETTLED.get(state, f"It ended as {state}."), facts)
    if doubt is not None:
        return Reason("in_doubt", "Nobody knows whether it took effect.", facts)
    human = by.get(EventKind.APPROVAL_DECIDED)
    if human is not None and human.fact["decision"] != "approve":
        return Reason(str(human.fact["decision"]), _by_human(human), facts)
    ruled = by.get(EventKind.CALL_RULED)
    if ruled is not None and ruled.fact["ruling"] == "deny":
        return Reason("denied", _by_rule(ruled), facts)
    if human is None and EventKind.APPROVAL_REQUESTED in by:
        approval = by[EventKind.APPROVAL_REQUESTED].fact["approval"]
        return Reason("pending", f"It waits for a person: {approval}.", facts)
    return Reason("not executed", "It may run, and its execution is not recorded.", facts)


_SETTLED = {
    "done": "It was executed.",
    "failed": "It was executed, and the tool reported that nothing happened.",
    "revoked": "It was approved, but when it was to run a bound no longer allowed it.",
}


def _by_human(decided: JournalRow) -> str:
    if decided.fact["decision"] == "expire":
        return "Nobody decided in time, and the request expired."
    reason = body_of(decided).get("reason")
    why = f", saying “{reason}”" if reason else ""
    return f"{decided.actor.name} decided {decided.fact['decision']}{why}."


def _by_rule(ruled: JournalRow) -> str:
    steps = cast("Sequence[Sequence[str]]", ruled.fact.get("steps", ()))
    passed = [name for name, word in steps if word == "allow"]
    other = [f"{name} ({word})" for name, word in steps if word != "allow"]
    message = body_of(ruled).get("message")
    text = f"Rule {ruled.fact['rule']} denied it" + (f": {message}" if message else ".")
    if other:
        text += f" Against it: {', '.join(other)}."
    return text + (f" No objection: {', '.join(passed)}." if passed else "")


def reasons_json(run: str, asked: str, reasons: Sequence[Reason]) -> dict[str, Json]:
    """Return the answer to a why-not question as JSON; the first reason decides."""
    return {
        "run": run,
        "not": asked,
        "verdict": reasons[0].verdict if reasons else None,
        "reasons": [
            {"verdict": r.verdict, "text": r.text, "facts": list(r.facts), "as_of": r.as_of}
            for r in reasons
        ],
    }
