"""From rows and numbers to the values that leave the room; the last place where rights are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from staid.access.scope import Scope
from staid.domain.ids import ChunkId, DocumentId
from staid.domain.passage import Passage, Signals
from staid.knowledge.index.fusion import fused
from staid.knowledge.index.lexical import DECIMALS
from staid.knowledge.index.rows import Winner
from staid.knowledge.index.view import Ranking

_BEST = 10


def passages_of(
    ranking: Ranking, winners: Mapping[int, Winner | None], scope: Scope
) -> tuple[Passage, ...]:
    """Return the winners that the scope permits by the label they have now, ranked without gaps."""
    found: list[Passage] = []
    for row, winner in winners.items():
        if winner is None or not scope.permits(winner.label):
            continue
        found.append(
            Passage(
                source=winner.source,
                document=DocumentId(winner.document),
                version=winner.version,
                chunk=ChunkId(winner.chunk),
                title=winner.title,
                section=winner.section,
                text=winner.text,
                label=winner.label,
                vetted=winner.vetted,
                rank=len(found) + 1,
                similarity=float(ranking.similarities[row]),
                vector_rank=ranking.vector_ranks.get(row),
                lexical_rank=ranking.lexical_ranks.get(row),
                bm25=float(ranking.bm25[row]),
                fused=fused(ranking.vector_ranks.get(row), ranking.lexical_ranks.get(row)),
            )
        )
    return tuple(found)


def signals_of(ranking: Ranking, words: Sequence[str]) -> Signals:
    """Return what confidence is computed from: statistics over the view alone."""
    cosines = ranking.similarities
    near = list(ranking.vector_ranks)[:_BEST]
    literal = list(ranking.lexical_ranks)[:_BEST]
    return Signals(
        similarities=tuple(float(cosines[row]) for row in near),
        similarity_mean=_rounded(cosines.mean()) if len(cosines) else 0.0,
        similarity_std=_rounded(cosines.std()) if len(cosines) > 1 else 0.0,
        bm25=tuple(float(ranking.bm25[row]) for row in literal),
        idf=tuple(zip(words, ranking.idf, strict=True)),
        view=len(cosines),
    )


def _rounded(value: float) -> float:
    number = round(float(value), DECIMALS)
    return number if math.isfinite(number) else 0.0
