"""The ledger of calls: every move is one compare-and-set in one transaction with its facts.

The promise rests on two things. A call leaves a state only by `UPDATE … WHERE state IN (…)`, so of
any number of processes one wins. And the claim is committed, durably, before the effect: after a
crash the row says `executing`, nobody may claim it again, and the sweep calls it `in_doubt`.
"""

from __future__ import annotations

from staid.store.ledger.decide import Decisions
from staid.store.ledger.edit import Edits
from staid.store.ledger.execute import Executions
from staid.store.ledger.sweep import Sweeps


class SqlLedger(Edits, Decisions, Executions, Sweeps):
    """Implements `staid.gates.ledger.Ledger` on SQLite and PostgreSQL."""
