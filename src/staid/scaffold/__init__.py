"""What `staid init` writes: a small project that works at once, with no key and no service.

Decides what a newcomer starts from: the help centre of an invented company, its directory and
labels, two tools with their bounds, instructions, a script for trying the gates, an eval set that
the `quote` model passes, and a CI workflow. `project/` is that tree, word for word; names that
begin with `dot-` are written with a dot.

Never ingests, never opens a store, never makes a key, never touches what is there already.
Invariants: a project is written whole or not at all; the template is itself a valid project; every
case of its eval set names documents that exist. Tests: `tests/unit/scaffold`.
"""
