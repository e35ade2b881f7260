"""How content comes in and is found again: parse, chunk, embed, ingest, index.

Decides how a document is read, where it is cut, what is embedded and how a search ranks what the
asker may see.

Never decides who may see what (access does), whether the evidence is enough (grounding does), and
never writes to the corpus but through its port.

Invariants: a chunk never straddles two documents; a document is indexed whole or not at all; a
text's vector depends on that text alone; nothing outside the asker's view changes a ranking.
Tests: `tests/unit/knowledge`, `tests/contract`, `tests/property`.
"""
