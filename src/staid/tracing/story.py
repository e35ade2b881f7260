"""A run told for a reader: each sentence bound to the journal facts it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from staid.domain.canonical import Json, canonical
from staid.domain.events import EventKind, JournalRow


@dataclass(frozen=True, slots=True)
class Step:
    """One sentence of a story."""

    text: str
    facts: tuple[int, ...]
    """Numbers (`seq`) of the journal facts that the sentence says."""
    kind: str
    """Kind of the first of these facts."""
    decided: bool = False
    """Whether this is what decided the outcome."""


@dataclass(frozen=True, slots=True)
class Story:
    """The whole run: its steps in order, and the one that decided."""

    run: str
    outcome: str
    """The outcome's word; without one `interrupted`, or `external` where the turn is not ours."""
    steps: tuple[Step, ...]

    @property
    def deciding(self) -> Step | None:
        """The step that decided the outcome."""
        return next((step for step in self.steps if step.decided), None)

    @property
    def text(self) -> str:
        """The story in one paragraph; the deciding sentence is marked."""
        return " ".join(f"{s.text} ← this decided" if s.decided else s.text for s in self.steps)


def tell(run: str, rows: Sequence[JournalRow]) -> Story:
    """Tell a run from its recorded facts alone; names the fact that decided."""
    told: dict[str, Step] = {}
    for row in rows:
        step = _step(row)
        if step is not None:  # what a resume found again is said once, with both facts
            earlier = told[step.text].facts if step.text in told else ()
            told[step.text] = replace(step, facts=(*earlier, *step.facts))
    outcome = _outcome(rows)
    deciding = _deciding(outcome, rows)
    steps = tuple(replace(step, decided=deciding in step.facts) for step in told.values())
    return Story(run, outcome, steps)


def _outcome(rows: Sequence[JournalRow]) -> str:
    decided = [row for row in rows if row.kind is EventKind.OUTCOME_DECIDED]
    if not decided and rows and rows[0].fact.get("external"):
        return "external"  # its turn is not ours: only its calls are
    return str(decided[-1].fact["outcome"]) if decided else "interrupted"


def _deciding(outcome: str, rows: Sequence[JournalRow]) -> int | None:
    """Return the number of the fact that decided, by the rules of the turn."""
    decided = _last(rows, EventKind.OUTCOME_DECIDED)
    reason = decided.fact["reason"] if decided else None
    match outcome, reason:
        case "answer", "tool_result":
            found = _last(rows, EventKind.CALL_SETTLED, state="done")
        case "answer", "canned":
            found = decided
        case "answer", _:
            found = _last(rows, EventKind.STATEMENT_CHECKED)
        case "abstention", "unsupported":
            found = _unsupported(rows) or decided
        case "abstention", _:
            found = _last(rows, EventKind.FLOOR_COMPARED)
        case "refusal", _:
            found = _refused(rows)
        case "pending", "in_doubt":
            found = _last(rows, EventKind.CALL_IN_DOUBT)
        case "pending", _:
            found = _waiting(rows, decided)
        case _:
            found = None
    return (found or decided).seq if (found or decided) else None  # pyright: ignore[reportOptionalMemberAccess]  # checked by the condition


def _last(rows: Sequence[JournalRow], kind: EventKind, **fact: Json) -> JournalRow | None:
    found = (row for row in reversed(rows) if row.kind is kind)
    return next((r for r in found if all(r.fact.get(k) == v for k, v in fact.items())), None)


def _waiting(rows: Sequence[JournalRow], decided: JournalRow | None) -> JournalRow | None:
    """Return the last request that the outcome still waits for, else the call that is in doubt."""
    waits: object = decided.fact.get("approvals") if decided else None
    for approval in reversed(cast("list[str]", waits or [])):
        found = _last(rows, EventKind.APPROVAL_REQUESTED, approval=approval)
        if found is not None:
            return found
    return _last(rows, EventKind.CALL_IN_DOUBT)


def _unsupported(rows: Sequence[JournalRow]) -> JournalRow | None:
    checked = [row for row in rows if row.kind is EventKind.STATEMENT_CHECKED]
    # Of a revised draft only the last check counts: it begins at the last first statement.
    starts = [place for place, row in enumerate(checked) if row.fact["statement"] == 1]
    checked = checked[starts[-1] :] if starts else checked
    blocked = [row for row in checked if row.fact.get("blocked")]
    weakest = sorted(checked, key=lambda row: cast("float", row.fact["support"]))
    return (blocked or weakest or [None])[-1 if blocked else 0]


def _refused(rows: Sequence[JournalRow]) -> JournalRow | None:
    """Return the no to the call that was proposed first, as the turn tells it."""
    denied = [
        row
        for row in rows
        if (row.kind is EventKind.CALL_RULED and row.fact.get("ruling") == "deny")
        or (row.kind is EventKind.APPROVAL_DECIDED and row.fact.get("decision") == "deny")
    ]
    proposed = [row.fact["call"] for row in rows if row.kind is EventKind.CALL_PROPOSED]
    return min(denied, key=lambda row: proposed.index(row.fact["call"]), default=None)


def _step(row: JournalRow) -> Step | None:
    teller = _TELLERS.get(row.kind)
    text = teller(row) if teller else None
    return Step(text, (row.seq,), row.kind.value) if text else None


def _body(row: JournalRow) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", row.body or {})


def _fact(row: JournalRow) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", row.fact)


def _started(row: JournalRow) -> str:
    question = _body(row).get("question", "(erased)")
    return f"{row.actor.name} asked the agent {row.fact['agent']}: “{_short(question, 300)}”"


def _scope(row: JournalRow) -> str:
    fact = _fact(row)
    groups = ", ".join(fact["groups"]) or "no group"
    how = "asserted by the operator" if fact["asserted"] else "from the directory"
    limit = "" if fact["may_read"] is None else " The agent may read less than the asker."
    return f"{fact['asker']} has the rights of {groups} ({how}).{limit}"


def _retrieved(row: JournalRow) -> str:
    fact = _fact(row)
    view, found = fact["view"], fact["found"]
    return f"The search looked at {view} chunks that the asker may read and found {found}."


def _kept(row: JournalRow) -> str | None:
    fact = _fact(row)
    if fact["rank"] != 1:
        return None
    title = _body(row).get("title") or fact["document"]
    return (
        f"The best passage was “{title}” ({fact['document']}, similarity {fact['similarity']:.2f})."
    )


def _floor(row: JournalRow) -> str:
    fact = _fact(row)
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
    fact = _fact(row)
    label = f", {fact['labelled']}" if fact.get("labelled") else ""
    calls = int(fact["calls"])
    what = f"proposed {calls} tool call{'s' if calls > 1 else ''}" if calls else "wrote a draft"
    return f"The model {fact['model']}{label} {what}."


def _ruled(row: JournalRow) -> str:
    fact = _fact(row)
    word = {"allow": "allowed", "ask": "held for a human", "deny": "denied"}[str(fact["ruling"])]
    return f"The call of {fact['tool']} was {word} by rule {fact['rule']}: {_message(row)}"


def _message(row: JournalRow) -> str:
    return str(_body(row).get("message") or row.fact.get("message") or row.fact.get("rule") or "")


def _proposed(row: JournalRow) -> str:
    arguments = _body(row).get("arguments")
    shown = f" with {canonical(arguments)}" if arguments is not None else ""
    return f"It proposed {row.fact['tool']}{_short(shown, 300)}."


def _requested(row: JournalRow) -> str:
    return f"A human was asked: approval {row.fact['approval']}."


def _decided_by(row: JournalRow) -> str:
    fact = _fact(row)
    reason = _body(row).get("reason")
    why = f", saying “{reason}”" if reason else ""
    word = {"approve": "approved", "deny": "denied"}.get(
        str(fact["decision"]), str(fact["decision"])
    )
    return f"{row.actor.name} {word} {fact['approval']}{why}."


def _settled(row: JournalRow) -> str:
    fact = _fact(row)
    return f"The call {fact['call']} ended as {fact['state']}."


def _in_doubt(row: JournalRow) -> str:
    return f"Nobody knows whether the call {row.fact['call']} took effect; it is not tried again."


def _checked(row: JournalRow) -> str:
    fact, body = _fact(row), _body(row)
    said = _short(body.get("text", "(erased)"), 120)
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
    fact = _fact(row)
    reason = f" ({fact['reason']})" if fact["reason"] else ""
    return (
        f"Outcome: {fact['outcome']}{reason}: “{_short(_body(row).get('text', '(erased)'), 300)}”"
    )


def _feedback(row: JournalRow) -> str:
    return f"{row.actor.name} gave feedback: {row.fact.get('vote')}."


def _erased(row: JournalRow) -> str:
    contents = row.fact.get("contents")
    count = len(contents) if isinstance(contents, list) else 0
    return f"{count} text{'' if count == 1 else 's'} erased, because: {row.fact.get('reason')}."


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


_TELLERS: Mapping[EventKind, Callable[[JournalRow], str | None]] = {
    EventKind.RUN_STARTED: _started,
    EventKind.SCOPE_RESOLVED: _scope,
    EventKind.RETRIEVAL_DONE: _retrieved,
    EventKind.PASSAGE_KEPT: _kept,
    EventKind.FLOOR_COMPARED: _floor,
    EventKind.MODEL_RETURNED: _returned,
    EventKind.CALL_PROPOSED: _proposed,
    EventKind.CALL_RULED: _ruled,
    EventKind.APPROVAL_REQUESTED: _requested,
    EventKind.APPROVAL_DECIDED: _decided_by,
    EventKind.CALL_SETTLED: _settled,
    EventKind.CALL_IN_DOUBT: _in_doubt,
    EventKind.STATEMENT_CHECKED: _checked,
    EventKind.HANDOFF_OPENED: _handed_off,
    EventKind.OUTCOME_DECIDED: _decided,
    EventKind.FEEDBACK_GIVEN: _feedback,
    EventKind.ERASED: _erased,
}


def story_json(story: Story) -> dict[str, Json]:
    """Return a story in the form of the CLI contract (product.md)."""
    deciding = story.deciding
    return {
        "run": story.run,
        "outcome": story.outcome,
        "steps": [
            {"text": s.text, "facts": list(s.facts), "kind": s.kind, "decided": s.decided}
            for s in story.steps
        ],
        "deciding": {"text": deciding.text, "facts": list(deciding.facts), "kind": deciding.kind}
        if deciding
        else None,
        "story": story.text,
    }
