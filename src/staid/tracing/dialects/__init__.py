"""One tree of spans in the vocabularies of its receivers.

Each file speaks one vocabulary, `destination` says which of them a receiver gets and what must be
kept from it. Vocabularies are output alone: nothing is ever stored in one. Never decides what may
leave: that is `tracing.disclosure`, before anything is said here.
Tests: `tests/unit/tracing`, `tests/contract/test_receivers.py`.
"""
