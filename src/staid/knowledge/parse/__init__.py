"""Bytes of a document to its title and sections; a refusal with a plain reason otherwise.

Decides what of a document is text: headings become section paths, tables become rows, links keep
an address that says something, and what a reader would not see (scripts, styles, navigation, hidden
elements) is left out.

Never reads a file, never guesses an encoding, never returns half a document. Invariants: whatever
the bytes are, the answer is a `Parsed` or `DocumentUnreadable`, in bounded time and memory; the
formats whose libraries can be made to run long (PDF, DOCX, large HTML) are read in a child process
that is stopped. Tests: `tests/unit/knowledge/parse`.
"""
