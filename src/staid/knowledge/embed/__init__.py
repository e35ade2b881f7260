"""Text to vectors: the packaged MiniLM and its own WordPiece tokenizer.

Decides how a text becomes tokens and a unit vector. Never batches: int8 quantisation scales over
the whole input tensor, so a text embedded beside another would carry a trace of it. Never
downloads: weights and vocabulary lie in installed packages and are checked against pinned hashes.
Invariants: equal text, equal bytes; unit norm; safe in many threads.
Tests: `tests/unit/knowledge/embed`.
"""
