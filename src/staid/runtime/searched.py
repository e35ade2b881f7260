"""What the floor was compared with, whole, so that the same can be compared again years later.

Kept passages have facts of their own; of the others ids and numbers are enough, and a text only
where confidence looks at it (`grounding.confidence.TOP`) or a name was looked for in vain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from staid.domain.canonical import Json
from staid.domain.events import EventKind, JournalRow
from staid.domain.ids import ChunkId, DocumentId
from staid.domain.label import Label
from staid.domain.passage import Passage, Retrieval, Signals
from staid.grounding.confidence import TOP


def searched_json(found: Retrieval, kept: Sequence[Passage]) -> dict[str, Json]:
    """Return signals and passages of a retrieval as the content of a `floor.compared` fact."""
    facts = {passage.chunk for passage in kept}
    return {
        "signals": cast("Json", asdict(found.signals)),
        "passages": [
            {"chunk": p.chunk, "bm25": p.bm25, "fused": p.fused} if p.chunk in facts else _whole(p)
            for p in found.passages
        ],
    }


def retrieval_of(rows: Sequence[JournalRow]) -> Retrieval | None:
    """Return the retrieval that these facts record; None where it is not recorded whole.

    `rows` are the facts of one pass: from `retrieval.done` to `floor.compared`.
    """
    done = next((r for r in rows if r.kind is EventKind.RETRIEVAL_DONE), None)
    compared = next((r for r in rows if r.kind is EventKind.FLOOR_COMPARED), None)
    if done is None or compared is None or not compared.body or "signals" not in compared.body:
        return None
    body = cast("Mapping[str, Any]", compared.body)
    kept = {str(r.fact["chunk"]): r for r in rows if r.kind is EventKind.PASSAGE_KEPT}
    passages = tuple(
        _kept(kept[p["chunk"]], p) if p["chunk"] in kept else _cut(p) for p in body["passages"]
    )
    fact = cast("Mapping[str, Any]", done.fact)
    return Retrieval(passages, _signals(body["signals"]), fact["position"], fact["withheld"])


def _whole(passage: Passage) -> dict[str, Json]:
    said = passage.rank <= TOP
    return {
        "source": passage.source,
        "document": passage.document,
        "version": passage.version,
        "chunk": passage.chunk,
        "vetted": passage.vetted,
        "rank": passage.rank,
        "similarity": passage.similarity,
        "vector_rank": passage.vector_rank,
        "lexical_rank": passage.lexical_rank,
        "bm25": passage.bm25,
        "fused": passage.fused,
        "title": passage.title if said else "",
        "section": passage.section if said else "",
        "text": passage.text if said else "",
    }


def _kept(row: JournalRow, told: Mapping[str, Any]) -> Passage:
    body = cast("Mapping[str, Any]", row.body or {})
    return _passage({**row.fact, **body, **told, "vetted": True}, row.label)


def _cut(told: Mapping[str, Any]) -> Passage:
    return _passage(told, Label.of([]))


def _passage(told: Mapping[str, Any], label: Label) -> Passage:
    return Passage(
        source=told["source"],
        document=DocumentId(told["document"]),
        version=told["version"],
        chunk=ChunkId(told["chunk"]),
        title=told["title"],
        section=told["section"],
        text=told["text"],
        label=label,
        vetted=told["vetted"],
        rank=told["rank"],
        similarity=told["similarity"],
        vector_rank=told["vector_rank"],
        lexical_rank=told["lexical_rank"],
        bm25=told["bm25"],
        fused=told["fused"],
    )


def _signals(told: Mapping[str, Any]) -> Signals:
    return Signals(
        similarities=tuple(told["similarities"]),
        similarity_mean=told["similarity_mean"],
        similarity_std=told["similarity_std"],
        bm25=tuple(told["bm25"]),
        idf=tuple((term, weight) for term, weight in told["idf"]),
        view=told["view"],
    )
