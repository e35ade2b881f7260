"""The JSON twin of every page, described by OpenAPI at `/api/openapi.json`.

Decides nothing: reads a request, asks the reader or the project, answers in the forms of the
command line's `--json`. Tests: `tests/integration/server/test_api.py`.
"""
