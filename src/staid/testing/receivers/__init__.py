"""Receivers as models: each file restates, in its own words, how one receiver reads a span.

They are no servers. They say what a receiver's documentation and source say it shows (type, input,
output, session, user, cost, prompt, documents), with its order of precedence, so that a test can
assert what a reader there would see. They know nothing of how Staid writes attributes. Phoenix and
MLflow are kept honest by `make peers`, which asks the real ones; Langfuse, LangSmith, Arize AX and
Logfire were not contacted.
"""
