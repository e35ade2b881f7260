"""The gate before tools of agents that run on another framework; each imported only when used.

Decides nothing: every call goes through `staid.runtime.gate`, whose ruling the framework is told in
its own words. Invariant: there is no way from a wrapped tool to its function but the gate.
Tests: `tests/integration/frameworks`.
"""
