"""The record of a run, read and proved: hash chain, story.

Decides how a fact is bound to the one before it, and how recorded facts are told to a reader.
Never records, never reads a store: rows come in, findings and stories go out.
Invariants: a changed, inserted, removed or reordered row gives another hash; the story names the
fact that decided. Truncation of whole runs together with their seals is only detectable against an
anchor kept elsewhere. Tests: `tests/unit/tracing`, `tests/property/test_chain.py`.
"""
