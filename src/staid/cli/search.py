"""`staid search`: the permission-aware search alone."""

from __future__ import annotations

from typing import Annotated

import typer

from staid.cli import output
from staid.cli.ask import AsOption, GroupsOption, groups_of
from staid.domain.errors import UsageInvalid
from staid.project.searching import search as run_search


def search(
    text: Annotated[str, typer.Argument(help="What to look for.")],
    as_: AsOption = "",
    groups: GroupsOption = None,
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many passages.")] = 10,
) -> None:
    """Search; nothing outside the asker's rights changes anything.

    Example: staid search refunds --as user:ada -k 5
    """
    if not as_:
        raise UsageInvalid(detail="nobody searches", hint="Say who: --as user:ada")
    found = run_search(output.project(), text, as_, groups_of(groups), k)
    value = {
        "hits": [
            {
                "document": hit.passage.document,
                "chunk": hit.passage.chunk,
                "rank": hit.passage.rank,
                "confidence": hit.confidence,
                "similarity": hit.passage.similarity,
                "title": hit.passage.title,
            }
            for hit in found.hits
        ],
        "position": found.position,
    }
    rows = [
        (
            h.passage.rank,
            f"{h.confidence:.2f}",
            f"{h.passage.similarity:.2f}",
            h.passage.document,
            _snippet(h.passage.text),
        )
        for h in found.hits
    ]
    head = ("rank", "conf.", "cosine", "document", "text")
    output.emit(
        value, output.table(head, rows, whole=4) or ["Nothing that this asker may read was found."]
    )


def _snippet(text: str) -> str:
    return " ".join(text.split())[:120]
