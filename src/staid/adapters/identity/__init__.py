"""Who exists and which groups they belong to, from wherever an organisation keeps that.

Decides which principal a token means and what its closure of groups is, as of the question's
moment. Never decides what a principal may see or do, and never remembers an answer that its source
has changed: a revoke holds on the very next query.

Invariants: a disabled or unknown principal has no rights; a source that cannot be read gives none
(fail closed); asserted groups are taken as they are, never widened. Tests:
`tests/unit/adapters/identity`.
"""
