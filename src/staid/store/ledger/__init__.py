"""The ledger of calls: what was proposed, ruled, decided, executed and taken back.

Decides nothing about what is allowed; it records who won. Invariants: a call moves only by one
compare-and-set in one transaction with its facts; the claim is durable before the effect; what was
approved is held against the journal in the claim. `sql` puts the steps together, one file each.
Tests: `tests/contract/test_ledger.py` on both engines, `tests/chaos` under kill -9.
"""
