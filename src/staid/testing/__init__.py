"""Test kits: what Staid's own tests use and what users point at their code.

Gives a fast, deterministic embedder (`embedder`) and a PostgreSQL from pip (`postgres`).
Decides nothing and is imported by no room of the product. Invariants: nothing here needs a
network; whatever it starts it stops. Tests: `tests/contract` runs on these kits.
"""
