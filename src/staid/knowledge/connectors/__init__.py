"""One file per source system: what it holds, as documents with their rights.

Decides which of a source's things are documents, what their ids are and which label each carries:
its own where the source states one, that of the acl file otherwise, and nobody where neither does.

Never stores anything and never stops at one bad document: that one comes out as `Skipped` with its
reason. Invariants: the order is the same every time; a document comes out whole or not at all; a
right that cannot be read is no right. Tests: `tests/unit/knowledge/connectors`.
"""
