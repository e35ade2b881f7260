"""The command line: the trusted operator's tool.

Decides nothing; turns words into calls of a project and outcomes into text or JSON. Invariants:
`--json` prints exactly one JSON document on stdout; progress and errors go to stderr; no traceback
reaches a person; exit codes are those of product.md. Tests: `tests/integration/cli`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main() -> None:
    """Run the command line and leave the process with its exit code."""
    from staid.cli.main import run

    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: what tests call."""
    from staid.cli.main import run as run_command

    return run_command(arguments)
