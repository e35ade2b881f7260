"""Which tool call may happen: the bounds of a tool, the ruling on a call, the life of an approval.

Decides: what a tool is (`tool`), the canonical arguments as they will run (`params`), what a call
draws from its budgets (`budget`), the ruling (`policy`), the moves of a call and who may decide an
approval (`approval`). `ledger` is the port through which calls are kept.

Never does I/O, reads no clock, runs no handler. Invariants: every proposal gets exactly one ruling;
the most severe rule wins whatever the order; missing data or a predicate that raises is `deny`;
nobody upstream of a request, and no agent, may decide it; a call leaves a state only by the table.
Tests: `tests/unit/gates`, `tests/property/test_gates.py`.
"""
