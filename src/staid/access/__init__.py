"""Who may see what: labels against the tokens of an asker, an agent and an audience.

Decides whether a label permits (`evaluate`), which groups a principal belongs to (`membership`),
whose rights one query runs with (`scope`), which classes that makes visible (`classes`), and says
which clause or deny decided and by which path of groups (`explain`).

Never does I/O, never reads a clock, never fetches a group: what it is not told does not exist.
Invariants: no token, no clause or an empty clause permits nobody; deny beats allow; a clause or a
deny more never widens a view; cycles of groups end; every scope only narrows.
Tests: `tests/unit/access` (examples and the algebra as properties).
"""
