"""One sentence for each fact that says something to a reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from staid.domain.canonical import canonical
from staid.domain.events import EventKind, JournalRow
from staid.domain.grading import grade_of
from staid.tracing.record import SILENT, WITHHELD, Record, body_of, fact_of, short


def sentence(record: Record, row: JournalRow) -> str | None:
    """Return what a fact says; None where its kind adds nothing to what others say."""
    teller = _TELLERS.get(row.kind)
    if teller is None or (row.kind is EventKind.PASSAGE_KEPT and not record.best(row)):
        return None
    return f"{SILENT[row.kind]}: {WITHHELD}." if record.silent(row) else teller(row)


def _started(row: JournalRow) -> str:
    question = body_of(row).get("question", "(erased)")
    if row.fact.get("external"):
        return (
            f"{row.actor.name} acted through the agent {row.fact['agent']}, which runs elsewhere."
        )
    return f"{row.actor.name} asked the agent {row.fact['agent']}: “{short(question, 300)}”"


def _scope(row: JournalRow) -> str:
    fact = fact_of(row)
    groups = ", ".join(fact["groups"]) or "no group"
    how = "asserted by the operator" if fact["asserted"] else "from the directory"
    limit = "" if fact["may_read"] is None else " The agent may read less than the asker."
    return f"{fact['asker']} has the rights of {groups} ({how}).{limit}"


def _retrieved(row: JournalRow) -> str:
    fact = fact_of(row)
    view, found = fact["view"], fact["found"]
    text = f"The search looked at {view} chunks that the asker may read and found {found}."
    lost = fact.get("withheld")
    return (
        f"{text} {lost} more were dropped: the rights to them had just changed." if lost else text
    )


def _kept(row: JournalRow) -> str:
    fact = fact_of(row)
    title = body_of(row).get("title") or fact["document"]
    return (
        f"The best passage was “{title}” ({fact['document']}, similarity {fact['similarity']:.2f})."
    )


def _floor(row: JournalRow) -> str:
    fact = fact_of(row)
    numbers = ", ".join(
        f"{name} {fact[name]:.2f}" for name in ("confidence", "similarity", "floor")
    )
    word = {
        "sufficient": "enough to answer",
        "weak": "too weak to answer",
        "empty": "nothing to answer from",
    }
    return f"That was {word[fact['decision']]}: {fact['message']} ({numbers})."


def _returned(row: JournalRow) -> str:
    fact = fact_of(row)
    label = f", {fact['labelled']}" if fact.get("labelled") else ""
    calls = int(fact["calls"])
    what = f"proposed {calls} tool call{'s' if calls > 1 else ''}" if calls else "wrote a draft"
    return f"The model {fact['model']}{label} {what}."


_RULED = {"allow": "allowed", "ask": "held for a human", "deny": "denied"}
_SHADOW = "shadow:"


def _ruled(row: JournalRow) -> str:
    fact = fact_of(row)
    word = _RULED[str(fact["ruling"])]
    told = f"The call of {fact['tool']} was {word} by rule {fact['rule']}: {_message(row)}"
    would = [
        f"{name.removeprefix(_SHADOW)} would have {_RULED[ruling]} it"
        for name, ruling in cast("list[list[str]]", fact.get("steps", []))
        if name.startswith(_SHADOW)
    ]
    return f"{told} Not in force: {', '.join(would)}." if would else told


def _message(row: JournalRow) -> str:
    return str(body_of(row).get("message") or row.fact.get("message") or row.fact.get("rule") or "")


def _proposed(row: JournalRow) -> str:
    arguments = body_of(row).get("arguments")
    shown = f" with {canonical(arguments)}" if arguments is not None else ""
    if row.actor.kind != "human":
        return f"It proposed {row.fact['tool']}{short(shown, 300)}."
    origins = cast("list[list[object]]", row.fact.get("origins") or [])
    typed = [str(path) for path, origin, _ in origins if origin == "approver"]
    typed = [path for path in typed if "." not in path]
    what = f", with {', '.join(typed)} of their own" if typed else ""
    before = f" in the place of {row.fact['replaces']}" if row.fact.get("replaces") else ""
    return f"{row.actor.name} proposed {row.fact['tool']}{short(shown, 300)}{before}{what}."


def _requested(row: JournalRow) -> str:
    return f"A human was asked: approval {row.fact['approval']}."


def _decided_by(row: JournalRow) -> str:
    fact = fact_of(row)
    reason = body_of(row).get("reason")
    why = f", saying “{reason}”" if reason else ""
    word = {"approve": "approved", "deny": "denied", "edit": "changed"}.get(
        str(fact["decision"]), str(fact["decision"])
    )
    return f"{row.actor.name} {word} {fact['approval']}{why}."


def _voted(row: JournalRow) -> str:
    fact = fact_of(row)
    return f"{row.actor.name} approved {fact['approval']}, {fact['votes']} of {fact['quorum']}."


def _edit_refused(row: JournalRow) -> str:
    fact = fact_of(row)
    return f"{row.actor.name} wanted {fact['approval']} otherwise; {fact['refused']} denied that."


def _reconsidered(row: JournalRow) -> str:
    fact = fact_of(row)
    what = ", ".join(cast("list[str]", fact["parts"]))
    return f"Not what was approved any more ({what}): {fact['approval']} waits again."


def _escalated(row: JournalRow) -> str:
    return f"{fact_of(row)['approval']} waited so long that others may decide it, too."


def _settled(row: JournalRow) -> str:
    fact = fact_of(row)
    return f"The call of {fact['tool']} ended as {fact['state']} ({fact['call']})."


def _in_doubt(row: JournalRow) -> str:
    return f"Nobody knows whether the call {row.fact['call']} took effect; it is not tried again."


def _undoing(row: JournalRow) -> str:
    why = body_of(row).get("reason")
    said = f", saying “{short(str(why), 300)}”" if why else ""
    return f"{row.actor.name} began to take the call {row.fact['call']} back{said}."


def _undo_ended(row: JournalRow) -> str:
    call = row.fact["call"]
    match row.fact["state"]:
        case "undone":
            return f"The call {call} was taken back."
        case "failed":
            return f"The call {call} was not taken back; what it did still stands."
        case _:
            return f"Nobody knows whether the call {call} was taken back."


def _checked(row: JournalRow) -> str:
    fact, body = fact_of(row), body_of(row)
    said = short(body.get("text", "(erased)"), 120)
    if fact["findings"]:
        why = " ".join(body.get("messages", [])) or ", ".join(fact["findings"])
        return f"Statement {fact['statement']} “{said}” was not fully backed: {why}"
    where = f" by {fact['document']}" if fact["document"] else ""
    return (
        f"Statement {fact['statement']} “{said}” is backed{where} (support {fact['support']:.2f})."
    )


def _handed_off(row: JournalRow) -> str:
    return f"A teammate got the question: {row.fact['handoff']}."


def _decided(row: JournalRow) -> str:
    fact = fact_of(row)
    reason = f" ({fact['reason']})" if fact["reason"] else ""
    return (
        f"Outcome: {fact['outcome']}{reason}: “{short(body_of(row).get('text', '(erased)'), 300)}”"
    )


def _feedback(row: JournalRow) -> str:
    comment = body_of(row).get("comment")
    why = f", saying “{short(str(comment), 300)}”" if comment else ""
    return f"{row.actor.name} gave feedback: {row.fact.get('vote')}{why}."


def _executed(row: JournalRow) -> str:
    fact, body = fact_of(row), body_of(row)
    late = " later" if fact.get("late") else ""
    if body.get("error"):
        return f"The tool {fact['tool']}{late} reported: {short(str(body['error']), 300)}"
    if "result" not in body:
        return f"The tool {fact['tool']}{late} returned."
    return f"The tool {fact['tool']}{late} returned {short(canonical(body['result']), 300)}."


def _requested_model(row: JournalRow) -> str:
    fact = fact_of(row)
    again = ", to mend its draft" if fact.get("revision") else ""
    return f"The model {fact['model']} was asked{again}."


def _rendered(row: JournalRow) -> str | None:
    fact = fact_of(row)
    if fact["name"] == "none":
        return None
    version = f" version {fact['version']}" if fact.get("version") is not None else ""
    return f"Its instructions were {fact['name']}{version} ({str(fact['sha256'])[:12]})."


def _answered(row: JournalRow) -> str:
    said = body_of(row).get("text", "(erased)")
    return f"{row.actor.name} answered {row.fact['handoff']}: “{short(said, 300)}”"


def _graded(row: JournalRow) -> str:
    given = grade_of(row.fact)
    return f"{given.grader} graded {given.name}: {given.value:g}." if given else "It was graded."


def _erased(row: JournalRow) -> str:
    count = len(row.fact.get("contents") or ())  # pyright: ignore[reportArgumentType]  # a list, as erasure writes it
    return f"{count} texts of this run were erased."


def _claimed(row: JournalRow) -> str:
    return f"The call {row.fact['call']} was claimed: nobody else may execute it."


def _revised(_: JournalRow) -> str:
    return "The model mended its draft once."


def _failed(row: JournalRow) -> str:
    return f"The run failed with {row.fact['error']}; nothing was released."


def _cut_off(_: JournalRow) -> str:
    return "The process of the run was cut off; nothing was released."


_TELLERS: Mapping[EventKind, Callable[[JournalRow], str | None]] = {
    EventKind.RUN_STARTED: _started,
    EventKind.SCOPE_RESOLVED: _scope,
    EventKind.RETRIEVAL_DONE: _retrieved,
    EventKind.PASSAGE_KEPT: _kept,
    EventKind.FLOOR_COMPARED: _floor,
    EventKind.PROMPT_RENDERED: _rendered,
    EventKind.MODEL_REQUESTED: _requested_model,
    EventKind.MODEL_RETURNED: _returned,
    EventKind.CALL_PROPOSED: _proposed,
    EventKind.CALL_RULED: _ruled,
    EventKind.APPROVAL_REQUESTED: _requested,
    EventKind.APPROVAL_VOTED: _voted,
    EventKind.APPROVAL_EDITED: _edit_refused,
    EventKind.APPROVAL_DECIDED: _decided_by,
    EventKind.APPROVAL_RECONSIDERED: _reconsidered,
    EventKind.APPROVAL_ESCALATED: _escalated,
    EventKind.CALL_CLAIMED: _claimed,
    EventKind.CALL_EXECUTED: _executed,
    EventKind.CALL_SETTLED: _settled,
    EventKind.CALL_IN_DOUBT: _in_doubt,
    EventKind.UNDO_CLAIMED: _undoing,
    EventKind.UNDO_ENDED: _undo_ended,
    EventKind.STATEMENT_CHECKED: _checked,
    EventKind.ANSWER_REVISED: _revised,
    EventKind.HANDOFF_OPENED: _handed_off,
    EventKind.HANDOFF_ANSWERED: _answered,
    EventKind.OUTCOME_DECIDED: _decided,
    EventKind.FEEDBACK_GIVEN: _feedback,
    EventKind.GRADE_GIVEN: _graded,
    EventKind.RUN_FAILED: _failed,
    EventKind.RUN_INTERRUPTED: _cut_off,
    EventKind.ERASED: _erased,
}
