"""How often does an approved refund really happen? Staid and its peers under the same kill points.

`make peers-effects`. Each contender asks for one refund, has it approved and carries it out with
its own approval and its own durable state, dies by SIGKILL at the point of the row, and is started
again as its documentation says; then once more, as a retry or a second click would. What counts is
the file that the handler appends to. Right is 1; 0 is right only where the contender says that
nobody knows. Results go to docs/evidence/effects-peers.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from effects_staid import PROBED

HERE = Path(__file__).parent
PEER_PYTHON = HERE.parent / ".venv-effects-peers/bin/python"
EVIDENCE = HERE.parent / "docs/evidence/effects-peers.md"
OURS = ("Staid", PROBED)
PEERS = ("Pydantic AI", "Pydantic AI + DBOS", "LangChain + LangGraph", "OpenAI Agents")
POINTS = ("before approval", "after approval", "before effect", "after effect", "after record")
TWICE, TOGETHER = "no kill, started again", "two started at once"
ROWS = (TWICE, *POINTS, TOGETHER)
VERSIONED = ("pydantic-ai-slim", "dbos", "langchain", "langgraph", "openai-agents")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one trial came to."""

    effects: int
    said: str
    """The last line of the last process: what the application was told."""

    @property
    def cell(self) -> str:
        """As the table shows it: a doubt is worth telling, a plain answer is not."""
        if self.said in {"in_doubt", "failed"}:
            return f"{self.effects}, {self.said}"
        return f"{self.effects}" if self.said else f"{self.effects}, no answer"


def start(contender: str, folder: Path, crash: str) -> subprocess.Popen[str]:
    """Start one process of a contender."""
    number = len(list(folder.glob("start-*")))
    (folder / f"start-{number}").touch()
    ours = contender in OURS
    python, script = (
        (sys.executable, "effects_staid.py") if ours else (PEER_PYTHON, "effects_peer.py")
    )
    return subprocess.Popen(
        [str(python), str(HERE / script), contender, str(folder), crash],
        stdout=subprocess.PIPE,
        stderr=(folder / f"stderr-{number}").open("w"),
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    """Wait for a process and return the last thing it said; nothing where it died or hung."""
    try:
        out, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return ""
    return out.strip().rpartition("\n")[2]


def trial(contender: str, row: str) -> Seen:
    """Play one row for one contender in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="staid-peers-") as name:
        folder = Path(name)
        if row == TOGETHER:
            said(start(contender, folder, "before approval"))
            both = [start(contender, folder, "") for _ in range(2)]
            answers = [said(process) for process in both]
        else:
            said(start(contender, folder, "" if row == TWICE else row))
            answers = [said(start(contender, folder, "")) for _ in range(2)]
        effects = folder / "effects"
        lines = effects.read_text().splitlines() if effects.exists() else []
        wrong = [line for line in lines if json.loads(line)["amount"] != "150"]
        if wrong:
            message = f"{contender} ran {wrong}, which nobody approved"
            raise SystemExit(message)
        return Seen(len(lines), max(answers, key=len))


def versions() -> dict[str, str]:
    """Return what was compared."""
    code = f"import importlib.metadata as m; print(*[m.version(n) for n in {VERSIONED}])"
    found = subprocess.run(
        [str(PEER_PYTHON), "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    return {"staid": version("staid"), **dict(zip(VERSIONED, found, strict=True))}


def cell(seen: list[Seen]) -> str:
    """Return the outcome of all repetitions; several where they differed."""
    counted = Counter(each.cell for each in seen)
    if len(counted) == 1:
        return next(iter(counted))
    return " / ".join(f"{text} ({times}x)" for text, times in counted.most_common())


def table(results: dict[str, dict[str, list[Seen]]]) -> str:
    """Return the table of effects in Markdown."""
    names = [*OURS, *PEERS]
    lines = [f"| kill point | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for row in ROWS:
        cells = [cell(results[name][row]) for name in names]
        marked = [f"**{c}**" if c[0] not in "01" else c for c in cells]
        lines.append(f"| {row} | {' | '.join(marked)} |")
    return "\n".join(lines)


def written(text: str, known: dict[str, str], repeat: int, seconds: float) -> str:
    """Return the page of evidence."""
    listed = ", ".join(f"{name} {number}" for name, number in known.items())
    return f"""# Effects of an approved call: Staid and its peers under the same kill -9

`make peers-effects`, {datetime.now(UTC):%Y-%m-%d}, {seconds:.0f} s, trials per cell: {repeat}:
{listed}.

One refund is asked for, approved and carried out with each contender's own approval and durable
state. The process dies by SIGKILL at the point of the row, is started again as its documentation
says, and then once more, as a retry or a second click would. The number is how often the refund
happened; more than 1 is money lost. All run on SQLite or files, with a scripted model.

{text}

- *before effect* and *after effect* are inside the handler; *after record* is when the model is
  told the result, or, for Staid, when the call is settled.
- Staid answers `in_doubt` where nobody can know, and a person settles it; with a `reconcile` probe
  it asks the system behind and settles it alone. A call that a probe found not to have happened is
  `failed`: it is not tried again unasked.
- Pydantic AI and OpenAI Agents hand the stored history, or state, to the application: whoever
  resumes it twice runs the call twice. Their pages do not promise otherwise. DBOS promises steps at
  least once; LangGraph's page asks for nodes that can be run again.
- This is not a verdict on these libraries, which promise less than this table asks. It is why the
  promise sits in Staid's ledger, and not in an engine.
"""


def main() -> int:
    """Play every row for every contender and print the table; 1 where Staid ran a call twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="trials per cell")
    parser.add_argument("--write", action="store_true", help="write docs/evidence/effects-peers.md")
    given = parser.parse_args()
    started = time.monotonic()
    results: dict[str, dict[str, list[Seen]]] = {}
    for name in (*OURS, *PEERS):
        results[name] = {}
        for row in ROWS:
            results[name][row] = [trial(name, row) for _ in range(given.repeat)]
            print(f"{name:<24}{row:<26}{cell(results[name][row])}", flush=True)
    text = table(results)
    print(f"\n{text}")
    summary = {
        n: {r: [s.cell for s in seen] for r, seen in rows.items()} for n, rows in results.items()
    }
    print(json.dumps(summary))
    if given.write:
        page = written(text, versions(), given.repeat, time.monotonic() - started)
        EVIDENCE.write_text(page, "utf-8")
    ours = [s for n in OURS for seen in results[n].values() for s in seen]
    unknown = [s for s in ours if s.effects == 0 and s.said not in {"in_doubt", "failed"}]
    return 1 if unknown or any(s.effects > 1 for s in ours) else 0


if __name__ == "__main__":
    sys.exit(main())
