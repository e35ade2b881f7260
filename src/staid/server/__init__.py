"""The HTTP API and the console: the same room of facts, as JSON and as pages.

Decides who is looking (`auth`), what that reader may see (`reader`, by recorded labels and present
rights) and how a coded error becomes a status (`problem`). It never answers, rules on or executes
anything itself: it calls the project as every other door does.

Invariants: identity is the session's, never a field of a request; an unsafe method from another
origin is refused before its handler runs; what a reader may not see looks as if it did not exist;
every page has a JSON twin below `/api`; every text is escaped; no page loads anything remote.
Tests: `tests/integration/server`, `tests/browser`.
"""
