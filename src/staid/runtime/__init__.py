"""One turn from question to outcome, and the gate every effect passes: joins the pillar rooms.

Decides the order of the steps (`turn`, read it top to bottom), what is parked and how it is carried
on (`parked`, `resume`), and how a call is proposed, claimed, executed and settled (`gate`, and
`guard` for functions of an agent that runs elsewhere).

Never decides a right, a ruling or a confidence itself: those come from the pillar rooms. Never
touches a database or a provider but through ports. Invariants: nothing is released before its
record is durable; a handler runs only after a claim that is durable, and at most once per call.
Tests: `tests/unit/runtime`, `tests/contract/test_ledger.py`, `tests/chaos`.
"""
