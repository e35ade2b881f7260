"""The nouns every room shares, and the ports through which the outside comes in.

Decides nothing. Holds frozen values (principal, label, document, passage, call, outcome, event),
the errors with their stable codes, the canonical form behind every digest, and the `Protocol`s
(`Clock`, `Ids`, `ModelClient`, `Embedder`, `Index`, `Corpus`, `Directory`) that rooms ask for.

Never does I/O, reads a clock, the environment or randomness, and never imports another room of
Staid. Invariants: values are immutable; what is built is valid; the canonical form of equal values
is equal to the byte. Tests: `tests/unit/domain`.
"""
