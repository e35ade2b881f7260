"""Does the floor hold: raw cosine beside confidence, out of fold and as shipped, on STAID_DATA.

`out_of_fold` refits without the questions of a document before they are scored; `shipped` takes
the committed coefficients as they are. What counts as answered went through every step of a turn:
floor, entity rule, `quote`, support check. The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

import traffic
from fit_confidence import as_calibration, design
from measuring import (
    Decided,
    Floats,
    Measured,
    RememberingEmbedder,
    auroc,
    coverage_at_risk,
    decide,
    measure,
)
from staid.domain.ids import ChunkId, DocumentId
from staid.domain.label import EVERYONE
from staid.domain.passage import Passage
from staid.grounding import support
from staid.grounding.calibration import Calibration, required
from staid.grounding.floor import FLOOR

KINDS = ("answerable", "near_miss", "adversarial", "absent_topic", "off_topic", "unanswerable")
RISK = 0.10
FAITHFUL, UNFAITHFUL = 3.6, 2.6
"""Mean of three people's marks, 1 to 4; the band between is left out (grounding study, C)."""

Chooser: TypeAlias = Callable[[Measured], Calibration]
Row: TypeAlias = dict[str, float]


def main() -> int:
    """Measure, print the tables, end with the JSON object."""
    seed = int(os.environ.get("STAID_SEED", "0"))
    traffic.data_folder()
    embedder = RememberingEmbedder()
    worlds = traffic.training(seed)
    measured: dict[str, list[Measured]] = {}
    for number, world in enumerate(worlds, 1):
        print(f"searching {number}/{len(worlds)} {world.name}", file=sys.stderr)
        measured[world.name] = measure(world, embedder)
    shipped = required(embedder.id)
    refitted = _refitted(measured, worlds, embedder.id)
    checked = _support()
    result: dict[str, Any] = {"seed": seed, "calibration": shipped.id}

    def held_out(each: Measured) -> Calibration:
        return refitted[traffic.fold(each.question.group)]

    def as_shipped(_: Measured) -> Calibration:
        return shipped

    for name, choose in (("out_of_fold", held_out), ("shipped", as_shipped)):
        result[name] = _scored(name, worlds, measured, choose) | {"support": checked}
    _print_support(checked)
    print(json.dumps(result, sort_keys=True))
    return 0


def _refitted(
    measured: Mapping[str, Sequence[Measured]], worlds: Sequence[traffic.World], embedder: str
) -> list[Calibration]:
    at = "1970-01-01T00:00:00.000000Z"
    return [
        as_calibration(design(measured, worlds, without=fold), embedder, f"without fold {fold}", at)
        for fold in range(traffic.FOLDS)
    ]


def _scored(
    title: str,
    worlds: Sequence[traffic.World],
    measured: Mapping[str, Sequence[Measured]],
    choose: Chooser,
) -> dict[str, Any]:
    """Return the numbers of one calibration over its three corpora, printed on the way."""
    print(f"\n{title}: acceptance by kind at the {FLOOR} floor, confidence / raw cosine")
    wanted = {"squad": "squad/", "mtrag": "mtrag/", "banking": "banking-family/"}
    rows: dict[str, Row] = {}
    for name, prefix in wanted.items():
        world = next(world for world in worlds if world.name.startswith(prefix))
        decided = [decide(each, choose(each)) for each in measured[world.name]]
        rows[name] = _row(world, decided)
        _print_kinds(name, decided)
    print(
        f"\n{title:<12} {'coverage':>9} {'risk':>6} {'cov@10%':>8} {'near':>6} {'adversarial':>12}"
    )
    for name, row in rows.items():
        for signal in ("", "cosine_"):
            print(
                f"{name + (' cosine' if signal else ''):<16}"
                + "".join(f"{row.get(signal + key, float('nan')):>9.3f}" for key in _SHOWN)
            )
    return {
        "squad": rows["squad"],
        "mtrag": rows["mtrag"],
        "banking": rows["banking"],
    }


_SHOWN = (
    "coverage_at_floor",
    "risk_at_floor",
    "coverage_at_10_risk",
    "near_miss_auroc",
    "adversarial_auroc",
)


def _row(world: traffic.World, decided: Sequence[Decided]) -> Row:
    share = np.array(traffic.shares(world))
    confidence = np.array([d.confidence for d in decided])
    cosine = np.array([d.similarity for d in decided])
    right = np.array([float(d.right) for d in decided])
    answered = np.array([float(d.answered) for d in decided])
    kinds = np.array([d.question.kind for d in decided])
    row = _at_floor(answered, right, share, "")
    row |= _at_floor((cosine >= FLOOR).astype(float), right, share, "cosine_")
    for name, score in (("", confidence), ("cosine_", cosine)):
        # A refusal by a rule ranks below every answer: the curve is that of the product.
        ranked = score - 2.0 * ((score >= FLOOR) & (answered == 0)) if not name else score
        row[f"{name}coverage_at_10_risk"] = coverage_at_risk(ranked, right, share, RISK)
        for kind in ("near_miss", "adversarial", "off_topic", "unanswerable"):
            if (kinds == kind).any():
                pair = score[kinds == "answerable"], score[kinds == kind]
                row[f"{name}{kind}_auroc"] = auroc(*pair)
    for kind in sorted(set(kinds)):
        row[f"{kind}_accepted"] = float(answered[kinds == kind].mean())
        row[f"cosine_{kind}_accepted"] = float((cosine[kinds == kind] >= FLOOR).mean())
    row["answerable_answered"] = row["answerable_accepted"]
    return {key: round(value, 4) for key, value in row.items()}


def _at_floor(answered: Floats, right: Floats, share: Floats, prefix: str) -> Row:
    given = float((share * answered).sum())
    good = float((share * answered * right).sum())
    return {
        f"{prefix}coverage_at_floor": good / (0.5 * float(share.sum())),
        f"{prefix}risk_at_floor": 1 - good / given if given else 0.0,
    }


def _print_kinds(name: str, decided: Sequence[Decided]) -> None:
    for kind in KINDS:
        these = [d for d in decided if d.question.kind == kind]
        if these:
            accepted = sum(d.answered for d in these) / len(these)
            raw = sum(d.similarity >= FLOOR for d in these) / len(these)
            print(f"  {name:<8} {kind:<13} {len(these):>5}  {accepted:>6.1%} / {raw:>6.1%}")


# --- support -------------------------------------------------------------------------------


def _passage(number: int, text: str) -> Passage:
    name = DocumentId(f"d{number}")
    chunk = ChunkId(f"c{number}")
    return Passage("s", name, "v", chunk, "", "", text, EVERYONE, True, number, 0.0, 1, 1, 0.0)


def _support() -> Row:
    """Score the support check against people's marks (MTRAG) and made-up answers (HaluEval)."""
    scores: dict[bool, list[float]] = {True: [], False: []}
    marked: list[tuple[bool, bool]] = []
    passed: dict[bool, list[bool]] = {True: [], False: []}
    for task in traffic.load("mtrag_human_faithfulness"):
        mean = float(np.mean([float(mark) for mark in task["faithfulness"]]))
        if UNFAITHFUL < mean < FAITHFUL:
            continue
        evidence = [_passage(n, c["text"]) for n, c in enumerate(task["contexts"])]
        checked = support.check(task["response"], evidence)
        scores[mean <= UNFAITHFUL].append(checked.score)
        passed[mean <= UNFAITHFUL].append(checked.supported())
        marked.append((mean <= UNFAITHFUL, checked.blocked))
    made_up: list[tuple[bool, bool]] = []
    for row in traffic.load("halueval_qa"):
        for bad, answer in ((False, row["right_answer"]), (True, row["hallucinated_answer"])):
            checked = support.check(answer, [_passage(0, row["knowledge"])])
            made_up.append((bad, checked.blocked))
    good, bad = np.array(scores[False]), np.array(scores[True])
    precision, recall = _hard(made_up)
    mtrag_precision, mtrag_recall = _hard(marked)
    return {
        "mtrag_auroc": round(auroc(good, bad), 4),
        "mtrag_faithful_supported": round(float(np.mean(passed[False])), 4),
        "mtrag_unfaithful_supported": round(float(np.mean(passed[True])), 4),
        "hard_rule_precision": precision,
        "hard_rule_recall": recall,
        "mtrag_hard_rule_precision": mtrag_precision,
        "mtrag_hard_rule_recall": mtrag_recall,
    }


def _hard(marked: Sequence[tuple[bool, bool]]) -> tuple[float, float]:
    blocked = [bad for bad, hard in marked if hard]
    total = sum(bad for bad, _ in marked)
    return round(sum(blocked) / max(1, len(blocked)), 4), round(sum(blocked) / max(1, total), 4)


def _print_support(checked: Row) -> None:
    print("\nsupport check (hard rules on HaluEval; MTRAG: three people's marks)")
    for name, value in checked.items():
        print(f"  {name:<28} {value:.3f}")
    print()


if __name__ == "__main__":
    sys.exit(main())
