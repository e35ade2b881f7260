"""The circuit breaker as a pure function of how calls ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staid.domain.call import Severity
from staid.domain.errors import ToolInvalid
from staid.gates.breaker import Breaker, Circuit, Ended, Standing, after, standing, tried
from staid.gates.policy import Snapshot, prepare, rule
from staid.gates.tool import define
from staid.testing.gating import REFUND, Refund
from staid.testing.kill import START

BREAKER = Breaker(failures=3, window="10m", rest="5m")
MINUTE = timedelta(minutes=1)


def nothing(_: Refund) -> None:
    """Do nothing."""


def failed(circuit: Circuit, *minutes: float, breaker: Breaker = BREAKER) -> Circuit:
    """Return the circuit after failures at these minutes."""
    for minute in minutes:
        circuit = after(circuit, breaker, Ended.FAILED, f"c{minute}", START + minute * MINUTE)
    return circuit


def test_so_many_failures_in_a_row_open_it() -> None:
    """It rests from the last one on, and says until when."""
    assert standing(failed(Circuit(), 0, 1), BREAKER, START + MINUTE) == Standing()
    opened = failed(Circuit(), 0, 1, 2)
    found = standing(opened, BREAKER, START + 6 * MINUTE)
    assert found == Standing(START + 7 * MINUTE, failures=3)
    assert "refund.issue" in found.told("refund.issue")
    assert standing(opened, BREAKER, START + 7 * MINUTE) == Standing(trial=True, failures=3)


def test_an_answer_between_or_too_much_time_keeps_it_closed() -> None:
    """Only failures in a row count, and only those within the window."""
    answered = after(failed(Circuit(), 0, 1), BREAKER, Ended.ANSWERED, "c", START + MINUTE)
    assert failed(answered, 2, 3).opened_at is None
    assert failed(Circuit(), 0, 6, 11).opened_at is None
    assert failed(Circuit(), 0, 6, 11, 12).opened_at == START + 12 * MINUTE


@pytest.mark.parametrize(("counted", "opened"), [(True, True), (False, False)])
def test_refusals_count_where_the_author_says_so(counted: bool, opened: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A handler that says nothing happened has answered, unless the breaker counts that."""
    breaker = Breaker(failures=1, refusals=counted)
    found = after(Circuit(), breaker, Ended.REFUSED, "c", START)
    assert (found.opened_at is not None) is opened


def test_the_trial_decides() -> None:
    """While it rests only the call that tries it closes it or begins another rest."""
    opened = failed(Circuit(), 0, 1, 2)
    at = START + 8 * MINUTE
    assert after(opened, BREAKER, Ended.ANSWERED, "begun before", at) == opened
    on_trial = tried(opened, "trial", at)
    assert standing(on_trial, BREAKER, at) == Standing(at + 5 * MINUTE, failures=3)
    assert after(on_trial, BREAKER, Ended.ANSWERED, "trial", at + MINUTE) == Circuit()
    again = after(on_trial, BREAKER, Ended.FAILED, "trial", at + MINUTE)
    assert standing(again, BREAKER, at + MINUTE) == Standing(at + 6 * MINUTE, failures=3)
    assert standing(again, BREAKER, at + 6 * MINUTE).trial


def test_a_trial_that_never_ends_makes_way() -> None:
    """A process that died with the trial does not leave the tool resting for ever."""
    lost = tried(failed(Circuit(), 0, 1, 2), "lost", START + 8 * MINUTE)
    assert standing(lost, BREAKER, START + 13 * MINUTE).trial
    assert after(lost, BREAKER, Ended.FAILED, "lost", START + 60 * MINUTE).opened_at is not None


def test_a_clock_that_goes_back_lets_nothing_through() -> None:
    """Before the moment it opened it rests, too."""
    assert standing(failed(Circuit(), 0, 1, 2), BREAKER, START - 60 * MINUTE).until is not None


@given(
    st.lists(st.tuples(st.sampled_from(Ended), st.integers(0, 6), st.booleans()), max_size=60),
    st.integers(1, 5),
    st.booleans(),
)
def test_never_more_than_one_trial_per_rest(
    ends: list[tuple[Ended, int, bool]],
    failures: int,
    counts: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whatever happens: an open circuit lets at most one call begin per rest, and ends with it."""
    breaker = Breaker(failures=failures, window="10m", rest="5m", refusals=counts)
    circuit, now, trials = Circuit(), START, list[int]()
    for number, (ended, minutes, answers) in enumerate(ends):
        now += minutes * MINUTE
        found = standing(circuit, breaker, now)
        assert found.until is None or (found.until > now and circuit.opened_at is not None)
        call = f"c{number}"
        if found.trial:
            circuit, trials = tried(circuit, call, now), [*trials, number]
            assert standing(circuit, breaker, now).until == now + 5 * MINUTE
            if not answers:
                continue  # its process dies
        elif found.until is not None:
            before = circuit
            circuit = after(circuit, breaker, ended, call, now)  # one begun before it opened
            assert circuit == before
            continue
        circuit = after(circuit, breaker, ended, call, now)
        assert len(circuit.failures) <= failures
        if ended is Ended.ANSWERED:
            assert circuit == Circuit()


def test_it_reads_back() -> None:
    """Breaker and standing are kept as plain values, without loss."""
    kept = Breaker.from_json(BREAKER.as_json())
    assert kept.as_json() == BREAKER.as_json()
    for found in (Standing(), Standing(START, failures=3), Standing(trial=True, failures=3)):
        assert Standing.from_json(found.as_json()) == found
    snapshot = Snapshot(frozenset({REFUND}), circuit=Standing(START, failures=3))
    assert Snapshot.from_json(snapshot.as_json()) == snapshot


@pytest.mark.parametrize(
    "wrong", [Breaker(failures=0), Breaker(window="soon"), Breaker(rest="0s"), Breaker(10**6)]
)
def test_a_breaker_that_cannot_work(wrong: Breaker) -> None:
    """A tool with a breaker that never opens or never closes is refused."""
    with pytest.raises(ToolInvalid):
        define(nothing, REFUND, params=Refund, breaker=wrong)


def test_it_denies_what_would_have_been_asked_about() -> None:
    """The ruling names the breaker among its steps; nobody is asked to approve past it."""
    tool = define(nothing, REFUND, params=Refund, breaker=BREAKER, requires_approval=True)
    prepared = prepare(REFUND, tool, {"order_id": "7", "amount": "9"}, "user:ada", "support")
    allowed = frozenset({REFUND})
    ruling = rule(prepared, Snapshot(allowed, circuit=Standing(START, failures=3)))
    assert (ruling.severity, ruling.rule) == (Severity.DENY, "breaker:refund.issue")
    assert (ruling.rule, "deny") in ruling.steps
    fine = rule(prepared, Snapshot(allowed, circuit=Standing()))
    assert fine.severity is Severity.ASK
    assert ("breaker:refund.issue", "allow") in fine.steps
