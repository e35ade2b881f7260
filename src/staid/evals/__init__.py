"""Whether a change made the agent worse, and what the comparison could not have seen.

Decides, from values alone: what a data set holds (`dataset`), whether one outcome meets its case
(`grader`), what an experiment found (`experiment`), how two of them differ (`compare`, on the
statistics of `paired`), and whether that blocks a merge (`merge_gate`).

Never asks an agent, reads a file, a clock or randomness: `staid eval` does the asking. Invariants:
a case is never skipped, so what could not be graded fails with its reason; only a *shown* drop
blocks, at most one harmless change in twenty; every pass says which drop it could have missed; the
order of cases changes nothing, and swapping the sides mirrors the result. An experiment holds no
answer's text, so a committed baseline says nothing that its data set does not.
Tests: `tests/unit/evals`, `tests/property/test_merge_gate.py`.
"""
