"""The fact that a story names is the one that decided: held against the rules and by what if."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staid.domain.events import EventKind
from staid.domain.message import ProposedCall
from staid.domain.outcome import Outcome
from staid.tracing.story import tell

POLICY = "Annual plans are refunded within 30 days of the purchase."
LOOKED = "The order has left the warehouse in Hamburg."
ASKED = "Are annual plans refunded within 30 days of the purchase?"

Named: TypeAlias = tuple[str, int]
"""What decided, in terms of what was put in: `call` 2, `statement` 1, `floor` 0, `canned` 0."""

CALLS = ("small", "over", "stranger", "approved", "refused", "waiting", "broken", "look")
SENTENCES = ("good", "hard", "soft")


@dataclass(frozen=True)
class Case:
    """Everything that a turn is made of, chosen freely."""

    view: str = "weak"
    """`found`, `weak` or `empty`."""
    calls: tuple[str, ...] = ()
    draft: tuple[str, ...] = ()
    canned: bool = False


@dataclass(frozen=True)
class Ended:
    """How a turn ended, and what its story says decided."""

    outcome: str
    reason: str | None
    named: Named
    kind: EventKind


def proposed(desk: Any, number: int, sort: str) -> ProposedCall:
    """Return the call of a sort."""
    name = f"c{number}"
    match sort:
        case "small":
            return desk.refund("A1", 40 + number, name)
        case "over":
            return desk.refund("A1", 900, name)
        case "stranger":
            return ProposedCall(name, "payroll.pay", {"who": "me"})
        case "broken":
            return desk.send(f"B{number}", name)
        case "look":
            return desk.look("C1", name)
        case _:
            return desk.refund("A1", 200 + number, name)


def draft_of(case: Case) -> str:
    """Return the draft: good sentences are backed by whatever evidence the case has."""
    good = POLICY if case.view == "found" else LOOKED
    told = {"good": good, "hard": "Penguins weigh 77 kilograms.", "soft": "Zebras sing operas."}
    return " ".join(told[sort] for sort in case.draft)


def play(desk: Any, case: Case) -> Ended:
    """Run the real turn, decide what has to be decided, and read its story."""
    draft = draft_of(case)
    steps: list[Any] = [draft, draft]
    if case.calls:
        steps.insert(0, [proposed(desk, n, sort) for n, sort in enumerate(case.calls)])
    options: dict[str, Any] = {}
    if case.view == "empty":
        options = {"asker": "user:eve", "groups": []}
    question = "hello" if case.canned else ASKED if case.view == "found" else "Do whales sing?"
    outcome = desk.ask(question, *steps, **options)
    outcome = decide_all(desk, case, outcome, [draft, draft])
    return read(desk, outcome)


def decide_all(desk: Any, case: Case, outcome: Outcome, steps: list[str]) -> Outcome:
    """Approve and deny what the case says is approved and denied."""
    ledger = desk.project.wiring.ledger
    records = ledger.calls(outcome.run)
    for sort, record in zip(case.calls, records, strict=True):
        if sort in {"approved", "refused"}:
            word = "approve" if sort == "approved" else "deny"
            outcome = desk.decide(record.approval, word, *steps) or outcome
    return outcome


def read(desk: Any, outcome: Outcome) -> Ended:
    """Return what decided by the story, as the place of the call or statement it is about."""
    rows = desk.rows(outcome)
    story = tell(outcome.run, rows)
    assert story.deciding is not None
    marked = [sentence for sentence in story.sentences if sentence.decided]
    assert len(marked) == 1
    row = rows[story.deciding.facts[-1] - 1]
    assert row.seq in marked[0].facts
    told = [fact for sentence in story.sentences for fact in sentence.facts]
    assert len(told) == len(set(told)), "no fact is told twice"
    calls = [r.fact["call"] for r in rows if r.kind is EventKind.CALL_PROPOSED]
    if "call" in row.fact:
        named = ("call", calls.index(row.fact["call"]))
    elif row.kind is EventKind.STATEMENT_CHECKED:
        named = ("statement", row.fact["statement"] - 1)
    else:
        named = ("floor" if row.kind is EventKind.FLOOR_COMPARED else "canned", 0)
    return Ended(outcome.outcome, outcome.reason, named, row.kind)


# --- the rules of the turn, written down a second time --------------------------------------------


def expected(case: Case) -> Ended:
    """Return how the case must end by product.md, from what was put in alone."""
    if case.canned:
        return Ended("answer", "canned", ("canned", 0), EventKind.OUTCOME_DECIDED)
    waiting = _places(case, "waiting")
    doubtful = _places(case, "broken")
    if waiting:
        named = ("call", waiting[-1])
        return Ended("pending", "approval", named, EventKind.APPROVAL_REQUESTED)
    if doubtful:
        return Ended("pending", "in_doubt", ("call", doubtful[-1]), EventKind.CALL_IN_DOUBT)
    grounds = case.view == "found" or "look" in case.calls
    if grounds and case.draft and set(case.draft) == {"good"}:
        named = ("statement", len(case.draft) - 1)
        return Ended("answer", None, named, EventKind.STATEMENT_CHECKED)
    return _without_draft(case, grounds=grounds)


def _without_draft(case: Case, *, grounds: bool) -> Ended:
    done = _places(case, "small", "approved")
    denied = _places(case, "over", "stranger", "refused")
    if done:
        # In the order in which they were settled: what was approved ran after all the others.
        last = (_places(case, "approved") or done)[-1]
        return Ended("answer", "tool_result", ("call", last), EventKind.CALL_SETTLED)
    if denied:
        human = case.calls[denied[0]] == "refused"
        kind = EventKind.APPROVAL_DECIDED if human else EventKind.CALL_RULED
        rule = {"over": "constraint:amount", "stranger": "allowlist", "refused": "approval"}
        return Ended("refusal", rule[case.calls[denied[0]]], ("call", denied[0]), kind)
    if not grounds:
        return Ended("abstention", case.view, ("floor", 0), EventKind.FLOOR_COMPARED)
    if not case.draft:
        return Ended("abstention", "unsupported", ("canned", 0), EventKind.OUTCOME_DECIDED)
    hard = [place for place, sort in enumerate(case.draft) if sort == "hard"]
    worst = hard[-1] if hard else case.draft.index("soft")
    return Ended("abstention", "unsupported", ("statement", worst), EventKind.STATEMENT_CHECKED)


def _places(case: Case, *sorts: str) -> list[int]:
    return [place for place, sort in enumerate(case.calls) if sort in sorts]


# --- what if ------------------------------------------------------------------------------------


def alone(case: Case, named: Named) -> Case:
    """Return the case in which nothing else of its sort could have decided."""
    what, place = named
    if what == "call":
        return replace(case, calls=(case.calls[place],))
    if what == "statement" and case.draft[place] != "good":
        return replace(case, draft=(case.draft[place],))
    return case


def otherwise(case: Case, named: Named) -> Case:
    """Return the case with what decided turned around, and nothing else."""
    what, place = named
    if what == "floor":
        return replace(case, view="found")
    if what == "canned":
        return replace(case, canned=False, draft=("good",))
    if what == "statement":
        turned = "hard" if case.draft[place] == "good" else "good"
        return replace(case, draft=_with(case.draft, place, turned))
    turned = {"small": "over", "approved": "refused", "refused": "approved", "waiting": "approved"}
    return replace(case, calls=_with(case.calls, place, turned.get(case.calls[place], "small")))


def _with(values: Iterable[str], place: int, value: str) -> tuple[str, ...]:
    return tuple(value if n == place else old for n, old in enumerate(values))


EVERY: dict[str, Case] = {
    "canned": Case(canned=True),
    "answer": Case("found", draft=("good", "good")),
    "answer from a result": Case(calls=("look",), draft=("good",)),
    "done": Case(calls=("small", "approved")),
    "done before a look": Case(calls=("small", "look"), draft=("soft",)),
    "weak": Case("weak", draft=("good",)),
    "empty": Case("empty", draft=("good",)),
    "unsupported, blocked": Case("found", draft=("good", "hard", "soft")),
    "unsupported, blocked twice": Case("found", draft=("hard", "good", "hard")),
    "unsupported, weakest": Case("found", draft=("good", "soft")),
    "no draft": Case("found"),
    "refusal by a bound": Case(calls=("over", "stranger")),
    "refusal by the allowlist": Case(calls=("stranger", "over", "refused")),
    "refusal by a human": Case(calls=("refused", "stranger")),
    "waits": Case("found", calls=("waiting", "waiting", "refused"), draft=("good",)),
    "in doubt": Case(calls=("broken", "small", "broken")),
    "waits and in doubt": Case(calls=("waiting", "broken")),
}


def check(desk: Any, case: Case) -> None:
    """Hold the story against the rules, then against what happens without what it names."""
    ended = play(desk, case)
    assert ended == expected(case)
    named = ended.named
    single = alone(case, named)
    again = play(desk, single)
    assert (again.outcome, again.reason, again.kind) == (ended.outcome, ended.reason, ended.kind)
    turned = otherwise(single, (named[0], 0) if single != case else named)
    other = play(desk, turned)
    assert (other.outcome, other.reason) != (ended.outcome, ended.reason)


@pytest.mark.parametrize("name", EVERY)
def test_every_way_to_end_names_what_decided(desk: Any, name: str) -> None:
    """For each outcome and reason the named fact decided alone, and turned around it flips it."""
    check(desk, EVERY[name])


CASES = st.builds(
    Case,
    view=st.sampled_from(["found", "weak", "empty"]),
    calls=st.lists(st.sampled_from(CALLS), max_size=3).map(tuple),
    draft=st.lists(st.sampled_from(SENTENCES), max_size=3).map(tuple),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(case=CASES)
def test_any_turn_names_what_decided(shared_desk: Any, case: Case) -> None:
    """Whatever is found, proposed, ruled, decided and drafted: the named fact is what decided."""
    check(shared_desk, case)
