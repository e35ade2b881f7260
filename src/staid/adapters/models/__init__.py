"""Model clients: one file each, all behind the `ModelClient` port.

`quote` composes answers from verbatim sentences of the evidence and needs no key; `scripted` plays
a file and labels its output; `pydantic_ai` speaks to real providers. None of them decides whether
an answer may be given: that is the floor's and the support check's business.
Invariants: what is sent is the request and nothing else; no client executes a tool.
Tests: `tests/unit/adapters/models`.
"""
