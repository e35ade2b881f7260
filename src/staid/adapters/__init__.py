"""The edge: everything Staid uses of others, each behind a port of the domain.

Decides nothing about grounding, rights or gates. Holds model clients (`models/`) and, later,
frameworks, notifiers and identity providers. Never imports the store or the knowledge room.
Invariants: an adapter raises Staid's coded errors only; a heavy or optional package is imported
when it is used, not before. Tests: `tests/unit/adapters`, `tests/contract`.
"""
