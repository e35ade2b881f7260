"""The pages: ask, runs, one run and its story, approvals, hand-offs; plain forms, no script.

Decides nothing. Every page shows what its twin below `/api` answers, and every form works without
JavaScript. All text of people, documents and models is escaped by the template engine.
Tests: `tests/integration/server/test_console.py`, `tests/browser`.
"""
