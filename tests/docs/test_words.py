"""Pages use the words of the glossary, and decisions keep their form."""

from __future__ import annotations

import re
from pathlib import Path

BANNED = {
    "guardrail": "policy, rule",
    "hallucinat": "unsupported",
    "faithfulness": "support",
    "tenant filter": "scope",
    "audit log": "journal",
    "audit trail": "journal",
    "permission row": "label",
    "escalation": "hand-off",
    "support ticket": "hand-off",
    "eval run to": "experiment",
    "knowledge base article": "document",
}
"""Synonyms that nobody needs, with the word to use instead."""
DECISION = re.compile(
    r"# ADR (?P<number>\d+): .+\n\nStatus: (?:accepted|replaced by ADR \d+), \d{4}-\d\d-\d\d\n\n"
    r"## Context\n.+## Decision\n.+## Consequences\n.+",
    re.DOTALL,
)


def test_no_banned_synonyms(page: Path) -> None:
    """A page says each thing by its one word; only the glossary names the others."""
    if page.name != "glossary.md":
        text = page.read_text("utf-8").lower()
        assert {word: instead for word, instead in BANNED.items() if word in text} == {}


def test_decisions_have_their_form(root: Path) -> None:
    """Numbers run from 1 without gap or double, each page has the four parts, the index has all."""
    folder = root / "docs/adr"
    files = sorted(folder.glob("[0-9]*.md"))
    numbers: list[int] = []
    for file in files:
        text = file.read_text("utf-8")
        found = DECISION.fullmatch(text)
        assert found, f"{file.name} is not in the form of a decision"
        assert int(found["number"]) == int(file.name[:4])
        assert len(text.splitlines()) <= 60, f"{file.name} is longer than a page"
        numbers.append(int(found["number"]))
    assert numbers == sorted(set(numbers)), "two decisions share a number"
    index = (folder / "README.md").read_text("utf-8")
    assert [file.name for file in files] == re.findall(r"\((\d{4}-[^)]+\.md)\)", index)


def test_every_page_is_on_the_map(root: Path) -> None:
    """From the README and the map every page is one or two links away."""
    docs = root / "docs"
    links = re.compile(r"\]\(([^)#\s]+\.md)")
    reached: set[Path] = {docs / "README.md", root / "README.md"}
    for _ in range(2):
        reached |= {
            (page.parent / link).resolve()
            for page in reached
            if page.is_file()
            for link in links.findall(page.read_text("utf-8"))
        }
    ours = {p.resolve() for p in docs.rglob("*.md") if p.parent.name != "evidence"}
    assert {p.relative_to(docs).as_posix() for p in ours - reached} == set()
