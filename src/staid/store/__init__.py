"""Where everything is kept: SQLite or PostgreSQL, one definition, one set of promises.

Decides which transaction a fact belongs to; never decides what is allowed, grounded or true.
Invariants: a document is stored whole or not at all; a call moves only by compare-and-set; journal
rows are only ever appended; whatever was acknowledged survives `kill -9`. Tests: `tests/contract`
runs the same suite on both engines.
"""
