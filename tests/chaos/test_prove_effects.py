"""The proof of effects proves something: it passes for our ledger and fails for a broken one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.chaos

PROVE = Path(__file__).parents[2] / "benchmarks" / "prove_effects.py"


def test_our_ledger_keeps_its_promises() -> None:
    """Trials of every adversary leave nothing broken, with kills and effects among them."""
    code, cell = _prove("--trials", "48")
    assert (code, cell["violations"], cell["trials"]) == (0, 0, 48)
    assert cell["kills"] > 20
    assert cell["effects"] > 20


@pytest.mark.parametrize("broken", ["compare-and-set", "doubt"])
def test_a_broken_ledger_is_found_out(broken: str) -> None:
    """Without the one winner of a claim, or the doubt after a death, the proof fails."""
    code, cell = _prove("--trials", "48", "--broken", broken)
    assert code == 1
    assert cell["violations"] > 0


def test_one_trial_is_repeated_alone() -> None:
    """A seed that was printed plays the same trial again, and only that."""
    code, cell = _prove("--only", "1000008", "--broken", "doubt")
    assert (code, cell["trials"]) == (1, 1)


def _prove(*options: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, str(PROVE), "--engine", "sqlite", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout.splitlines()[-1])["cells"][0]
