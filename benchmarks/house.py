"""House rules that no linter knows: length of files and functions, tests per line of code."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

LONGEST_FILE = 600
LONGEST_FUNCTION = 60
EXEMPT = "migrations/versions"


def functions(path: Path) -> Iterator[tuple[int, str]]:
    """Yield length without docstring and place of every function in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            first = node.body[0]
            documented = ast.get_docstring(node) is not None and first.end_lineno
            docstring = (
                first.end_lineno - first.lineno + 1 if documented and first.end_lineno else 0
            )
            yield node.end_lineno - node.lineno + 1 - docstring, f"{path}:{node.lineno} {node.name}"


def main() -> int:
    """Print the numbers and every break of a limit; return 1 if there is one."""
    files = [p for p in sorted(Path("src").rglob("*.py")) if EXEMPT not in p.as_posix()]
    sizes = {path: path.read_text("utf-8").count("\n") for path in files}
    long_files = [f"{n} lines: {path}" for path, n in sizes.items() if n > LONGEST_FILE]
    found = [item for path in files for item in functions(path)]
    long_functions = [f"{n} lines: {where}" for n, where in found if n > LONGEST_FUNCTION]
    tests = sum(p.read_text("utf-8").count("\n") for p in Path("tests").rglob("*.py"))
    ordered = sorted(sizes.values())
    print(
        f"{len(files)} files, {sum(ordered)} lines, p90 {ordered[len(ordered) * 9 // 10]}, "
        f"longest {ordered[-1]}; longest function {max(found)[0]}; "
        f"{tests / max(1, sum(ordered)):.2f} lines of test per line"
    )
    for line in (*long_files, *long_functions):
        print(line)
    return 1 if long_files or long_functions else 0


if __name__ == "__main__":
    sys.exit(main())
