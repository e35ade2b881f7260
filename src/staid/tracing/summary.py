"""A run in three to six sentences: asked, found, compared, proposed, ruled, said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from staid.domain.canonical import canonical
from staid.domain.events import EventKind, JournalRow
from staid.domain.grading import grade_of
from staid.tracing.record import WITHHELD, Record, body_of, fact_of, short

CALLS = 3
"""Calls that the story tells one by one; the steps have all of them."""
LONGEST = 300
"""Characters of somebody's words that the story quotes."""

_RULED = {"allow": "was allowed", "ask": "was held for a human", "deny": "was denied"}
_DECIDED = {
    "approve": "approved it",
    "deny": "denied it",
    "edit": "changed it",
}
_MEASURED = {
    "sufficient": "enough to answer",
    "weak": "too weak to answer",
    "empty": "nothing to answer from",
}
_LIFE = (
    EventKind.CALL_RULED,
    EventKind.APPROVAL_REQUESTED,
    EventKind.APPROVAL_DECIDED,
    EventKind.CALL_EXECUTED,
    EventKind.CALL_SETTLED,
    EventKind.CALL_IN_DOUBT,
)
_AFTERWARDS = (
    EventKind.UNDO_CLAIMED,
    EventKind.UNDO_ENDED,
    EventKind.HANDOFF_ANSWERED,
    EventKind.FEEDBACK_GIVEN,
    EventKind.GRADE_GIVEN,
    EventKind.ERASED,
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the short story, with the facts it says."""

    text: str
    rows: tuple[JournalRow, ...]


def summary(record: Record, decided: JournalRow | None) -> Iterator[Sentence]:
    """Yield the sentences of the short story in the order of the turn; every fact once."""
    calls = _chosen(record, decided)
    for told in (
        _asked(record),
        _found(record),
        _compared(record),
        _proposed(record, calls),
        _ruled(record, calls),
        _ended(record),
    ):
        if told is not None:
            yield told


def _asked(record: Record) -> Sentence | None:
    started = record.last(EventKind.RUN_STARTED)
    if started is None:
        return None
    fact, day = fact_of(started), started.at[:10]
    if fact.get("external"):
        text = f"On {day} {started.actor.name} acted through {fact['agent']}, which runs elsewhere."
        return Sentence(text, (started,))
    question = short(str(body_of(started).get("question", "(erased)")), LONGEST)
    origin = f" {_imported(fact)}" if fact.get("imported") else ""
    asked = f"On {day} {started.actor.name} asked the agent {fact['agent']}: “{question}”"
    return Sentence(f"{asked}{origin}", (started,))


def _imported(fact: Mapping[str, Any]) -> str:
    given: Mapping[str, Any] = fact.get("origin") or {}
    places = [f"{name} {given[name]}" for name in ("line", "turn") if name in given]
    where = ", ".join([str(given.get("file", "another system")), *places])
    return f"Imported from {where}: another system carried it out."


def _found(record: Record) -> Sentence | None:
    done = record.last(EventKind.RETRIEVAL_DONE)
    if done is None:
        return None
    best = record.kept[:1]
    rows = (done, *best)
    if any(record.silent(row) for row in rows):
        return Sentence(f"What the search found: {WITHHELD}.", rows)
    fact = fact_of(done)
    again = " when it was carried on" if done != next(record.all(EventKind.RETRIEVAL_DONE)) else ""
    looked = f"The search{again} looked at {fact['view']} chunks that the asker may read and found"
    if not best:
        return Sentence(f"{looked} {fact['found'] or 'nothing'}.", rows)
    kept = fact_of(best[0])
    title = body_of(best[0]).get("title") or kept["document"]
    where = f"“{title}” ({kept['document']}, similarity {kept['similarity']:.2f})"
    return Sentence(f"{looked} {fact['found']}; the best passage was {where}.", rows)


def _compared(record: Record) -> Sentence | None:
    compared = record.last(EventKind.FLOOR_COMPARED)
    if compared is None:
        return None
    if record.silent(compared):
        return Sentence(f"What was measured: {WITHHELD}.", (compared,))
    fact = fact_of(compared)
    names = ("confidence", "similarity", "floor")
    numbers = ", ".join(f"{name} {fact[name]:.2f}" for name in names)
    word = _MEASURED[fact["decision"]]
    unasked = record.last(EventKind.MODEL_REQUESTED) is None
    then = ", so no model was asked" if unasked and fact["decision"] != "sufficient" else ""
    return Sentence(f"That was {word}{then}: {fact['message']} ({numbers}).", (compared,))


# --- what the model proposed --------------------------------------------------------------------


def _chosen(record: Record, decided: JournalRow | None) -> tuple[str, ...]:
    """Return the calls to tell: the first ones, and always the one that decided."""
    calls = [str(row.fact["call"]) for row in record.all(EventKind.CALL_PROPOSED)]
    known = str(decided.fact.get("call", "")) if decided else ""
    first = [call for call in calls[:CALLS] if call != known]
    if known in calls:
        first = [*first[: CALLS - 1], known]
    return tuple(sorted(first, key=calls.index))


def _proposed(record: Record, calls: Sequence[str]) -> Sentence | None:
    requested = record.last(EventKind.MODEL_REQUESTED)
    returned = tuple(record.all(EventKind.MODEL_RETURNED))
    proposed = tuple(r for r in record.all(EventKind.CALL_PROPOSED) if r.fact["call"] in calls)
    if not returned and not proposed and not record.draft:
        return Sentence(_unanswered(requested), (requested,)) if requested else None
    told = [*_proposals(record, proposed), *_drafted(record, returned)]
    rows = (*returned, *proposed, *record.draft)
    return Sentence(f"{_who(returned, proposed)} {', and '.join(told)}.", rows)


def _unanswered(requested: JournalRow) -> str:
    return f"The model {requested.fact['model']} was asked and nothing came back."


def _who(returned: Sequence[JournalRow], proposed: Sequence[JournalRow]) -> str:
    if not returned:
        return f"The agent {proposed[0].actor.name}" if proposed else "The agent"
    last = fact_of(returned[-1])
    label = f", {last['labelled']}," if last.get("labelled") else ""
    return f"The model {last['model']}{label}"


def _proposals(record: Record, proposed: Sequence[JournalRow]) -> Iterator[str]:
    if not proposed:
        return
    told = [_call_in_words(row) for row in proposed]
    more = sum(1 for _ in record.all(EventKind.CALL_PROPOSED)) - len(proposed)
    yield f"proposed {'; '.join(told)}" + (f" and {more} more calls" if more else "")


def _call_in_words(row: JournalRow) -> str:
    arguments = body_of(row).get("arguments")
    shown = f" with {short(canonical(arguments), LONGEST)}" if arguments is not None else ""
    return f"{row.fact['tool']}{shown}"


def _drafted(record: Record, returned: Sequence[JournalRow]) -> Iterator[str]:
    draft = record.draft
    if draft:
        count = f"{len(draft)} statement{'s' if len(draft) > 1 else ''}"
        mended = "mended its draft to" if record.last(EventKind.ANSWER_REVISED) else "drafted"
        yield f"{mended} {count}, {_held(record, draft)}"
    elif returned and not returned[-1].fact["calls"]:
        yield _nothing_checked(record, returned[-1])


def _nothing_checked(record: Record, last: JournalRow) -> str:
    if last.fact.get("characters") == 0:
        return "wrote no draft"
    started = record.last(EventKind.RUN_STARTED)
    if started is not None and started.fact.get("imported"):
        return "wrote what was said"  # nobody held it against evidence, and it was used
    compared = record.last(EventKind.FLOOR_COMPARED)
    if compared is not None and not record.silent(compared) and not compared.fact.get("evidence"):
        return "wrote a draft that had nothing to rest on and was not used"
    return "wrote a draft that was not used"


def _held(record: Record, draft: Sequence[JournalRow]) -> str:
    if any(record.silent(row) for row in draft):
        return f"and what backs it is {WITHHELD}"
    if draft[-1].fact.get("draft_supported", True):
        least = min(float(fact_of(row)["support"]) for row in draft)
        backing = list(dict.fromkeys(str(d) for d in (r.fact["document"] for r in draft) if d))
        tool = " by what a tool returned" if record.last(EventKind.CALL_SETTLED) else ""
        where = f" by {', '.join(backing[:CALLS])}" if backing else tool
        return f"backed{where} (support at least {least:.2f})"
    weakest = _weakest(draft)
    body = body_of(weakest)
    said = short(str(body.get("text", "(erased)")), LONGEST)
    why = " ".join(body.get("messages", [])) or ", ".join(fact_of(weakest)["findings"])
    return f"of which “{said}” is not backed" + (f": {why}" if why else "")


def _weakest(draft: Sequence[JournalRow]) -> JournalRow:
    blocked = [row for row in draft if row.fact.get("blocked")]
    return blocked[-1] if blocked else min(draft, key=lambda r: float(fact_of(r)["support"]))


# --- what was ruled, and by whom it was decided -------------------------------------------------


def _ruled(record: Record, calls: Sequence[str]) -> Sentence | None:
    told: list[str] = []
    rows: list[JournalRow] = []
    lives = record.calls
    for call in calls:
        life = tuple(row for row in lives[call] if row.kind in _LIFE)
        parts = [_moment(row) for row in life if not _settled_meanwhile(row, life)]
        spoken = [part for part in parts if part]
        if spoken:
            named = f"{lives[call][0].fact['tool']} " if len(calls) > 1 else "The call "
            told.append(f"{named}{', '.join(spoken)}")
            rows += life
    return Sentence(f"{'; '.join(told)}.", tuple(rows)) if told else None


def _settled_meanwhile(row: JournalRow, life: Sequence[JournalRow]) -> bool:
    """Return whether a request is over: then who decided it is told instead."""
    if row.kind is not EventKind.APPROVAL_REQUESTED:
        return False
    return any(later.kind is EventKind.APPROVAL_DECIDED for later in life)


def _moment(row: JournalRow) -> str:
    fact = fact_of(row)
    match row.kind:
        case EventKind.CALL_RULED:
            text = _ruling(row)
        case EventKind.APPROVAL_DECIDED:
            text = _decision(row)
        case EventKind.APPROVAL_REQUESTED:
            text = f"waits as {fact['approval']}"
        case EventKind.CALL_EXECUTED:
            text = "the tool answered later" if fact.get("late") else ""
        case EventKind.CALL_SETTLED:
            by = f" by {row.actor.name}" if row.actor.kind == "human" else ""
            text = f"ended as {fact['state']}{by}"
        case _:
            text = "may or may not have taken effect and is not tried again"
    return text


def _ruling(row: JournalRow) -> str:
    fact = fact_of(row)
    if fact["ruling"] == "allow":
        return _RULED["allow"]
    message = str(body_of(row).get("message") or "").rstrip(".")
    said = f" ({message})" if message else ""
    return f"{_RULED[fact['ruling']]} by rule {fact['rule']}{said}"


def _decision(row: JournalRow) -> str:
    word = str(row.fact["decision"])
    if word == "expire":
        return "expired before anybody decided"
    reason = body_of(row).get("reason")
    why = f", saying “{reason}”" if reason else ""
    return f"{row.actor.name} {_DECIDED.get(word, f'decided {word}')}{why}"


# --- what was said ------------------------------------------------------------------------------


def _ended(record: Record) -> Sentence | None:
    decided = record.last(EventKind.OUTCOME_DECIDED)
    after = tuple(record.all(*_AFTERWARDS))
    if decided is None:
        return _cut_off(record, after)
    said = short(str(body_of(decided).get("text", "(erased)")), LONGEST)
    opened = record.last(EventKind.HANDOFF_OPENED)
    text = f"{_ending(fact_of(decided))}: “{said}”"
    if opened is not None:
        text += f" A teammate got the question as {opened.fact['handoff']}."
    rows = (decided, *((opened,) if opened else ()), *after)
    return Sentence(" ".join([text, *map(_later, after)]), rows)


def _cut_off(record: Record, after: tuple[JournalRow, ...]) -> Sentence | None:
    if record.outcome == "external" or not record.rows:
        return Sentence(" ".join(map(_later, after)), after) if after else None
    last = record.last(EventKind.RUN_FAILED, EventKind.RUN_INTERRUPTED) or record.rows[-1]
    text = f"No outcome is recorded: {_broken(last)}, and nothing was released."
    return Sentence(
        " ".join([text, *map(_later, after)]),
        (last, *(row for row in after if row.seq != last.seq)),
    )


def _broken(last: JournalRow) -> str:
    match last.kind:
        case EventKind.RUN_FAILED:
            return f"the run failed with {last.fact['error']}"
        case EventKind.RUN_INTERRUPTED:
            return "its process was cut off"
        case kind:
            return f"the last fact is {kind.value}"


def _answer(fact: Mapping[str, object]) -> str:
    match fact["reason"]:
        case "canned":
            return (
                "Nothing was searched, for this is small talk with a vetted reply; the answer was"
            )
        case "tool_result":
            return "The answer says what was done"
        case _:
            return "The answer was"


def _ending(fact: Mapping[str, object]) -> str:
    match fact["outcome"], fact["reason"]:
        case "abstention", reason:
            return f"Staid abstained ({reason})"
        case "refusal", reason:
            return f"Staid refused (rule {reason})"
        case "pending", "in_doubt":
            return "Nobody knows yet whether it happened"
        case "pending", _:
            return "It waits for a person"
        case _:
            return _answer(fact)


def _later(row: JournalRow) -> str:
    fact, body = fact_of(row), body_of(row)
    match row.kind:
        case EventKind.HANDOFF_ANSWERED:
            said = short(str(body.get("text", "(erased)")), LONGEST)
            return f"Afterwards {row.actor.name} answered: “{said}”"
        case EventKind.FEEDBACK_GIVEN:
            comment = f", saying “{body['comment']}”" if body.get("comment") else ""
            return f"Afterwards {row.actor.name} gave feedback: {fact.get('vote')}{comment}."
        case EventKind.GRADE_GIVEN:
            given = grade_of(row.fact)
            what = f": {given.name} {given.value:g} by {given.grader}" if given else ""
            return f"Afterwards it was graded{what}."
        case _:
            return f"Afterwards texts of it were erased, because: {fact.get('reason', 'not said')}."
