"""Permission-aware search: the asker's visible classes first, then everything else.

Decides which chunks of the asker's view are nearest to a query: BM25 (`lexical`) and an exact
vector scan (`vector`), both over the view alone, joined by rank (`fusion`). `embedded` does it in
this process over the store of either engine, `pgvector` inside PostgreSQL.
Never decides whether the passages are good enough, never widens a scope, never trusts a cache
file for rights. Invariants: nothing outside the view changes anything in a `Retrieval`; every query
reads what was committed before it; each winner's rights are read again from the store in the same
transaction; a search that cannot know the present rights fails.
Tests: `tests/unit/knowledge/index`, `tests/contract/test_index.py`,
`tests/property/test_leaks_index.py`.
"""

INDEX_VERSION = "1"
"""Names how signals are computed (term analysis, BM25, fusion): calibrations are bound to it."""
