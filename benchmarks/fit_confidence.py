"""Fits the packaged calibration from STAID_DATA: same data, same seed, same bytes.

Writes coefficients and their provenance, never a word of the data. See `traffic.training` for the
worlds and `traffic.shares` for how their traffic is weighed. Usage: `make fit-confidence`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import traffic
from measuring import Fit, Floats, Measured, RememberingEmbedder, fit, measure
from staid.domain.canonical import digest
from staid.grounding.calibration import INDEX_VERSION, Calibration
from staid.grounding.confidence import NAMES

ADVERSARIAL = 0.05
"""Share of the traffic that asks on topic what the paragraph does not say: no retrieval signal sees
it, so it lowers every probability a little, as it should."""
RIDGE = 1e-3
DATA = ("squad2", "mtrag_un", "tau2_banking_kb", "clinc150")
FITTED_AT = "2026-11-23T00:00:00.000000Z"
FOLDER = Path(__file__).parents[1] / "src" / "staid" / "grounding" / "coefficients"
ROUNDED = 6


def design(
    measured: Mapping[str, Sequence[Measured]],
    worlds: Sequence[traffic.World],
    without: int | None = None,
) -> Fit:
    """Fit all worlds; `without` leaves out every question about one fold of documents."""
    values: list[tuple[float, ...]] = []
    right: list[float] = []
    share: list[float] = []
    for world in worlds:
        weights = traffic.shares(world, ADVERSARIAL)
        for each, weight in zip(measured[world.name], weights, strict=True):
            if weight and (without is None or traffic.fold(each.question.group) != without):
                values.append(each.values)
                right.append(float(each.found))
                share.append(weight * world.weight)
    return fit(np.array(values), np.array(right), np.array(share), RIDGE)


def as_calibration(found: Fit, embedder: str, fitted_on: str, at: str) -> Calibration:
    """Return the fit as the product reads it; its id is the hash of everything in it."""
    body = {
        "embedder": embedder,
        "index_version": INDEX_VERSION,
        "fitted_on": fitted_on,
        "at": at,
        "intercept": round(found.intercept, ROUNDED),
        "coefficients": _named(found.weights),
        "means": _named(found.means),
        "scales": _named(found.scales),
    }
    return Calibration.parse({"id": f"cal_{digest(body)[:16]}", **body})


def _named(values: Floats) -> dict[str, float]:
    return {name: round(float(v), ROUNDED) for name, v in zip(NAMES, values, strict=True)}


def provenance(worlds: Sequence[traffic.World], seed: int) -> dict[str, object]:
    """Return what a reader needs to make the same fit again."""
    return {
        "data": {name: traffic.file_hash(name) for name in DATA},
        "seed": seed,
        "ridge": RIDGE,
        "traffic": "half answerable; the other half near_miss, absent_topic, off_topic in equal "
        f"parts, {ADVERSARIAL:.0%} of all adversarial",
        "worlds": {
            world.name: {
                "documents": len({row[0] for row in world.rows}),
                "questions": len(world.questions),
                "weight": world.weight,
            }
            for world in worlds
        },
    }


def main() -> int:
    """Fit and write the file; print where it lies and what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at", default=FITTED_AT, help="the time that is written into the file")
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder to write into")
    options = parser.parse_args()
    seed = int(os.environ.get("STAID_SEED", "0"))
    traffic.data_folder()
    embedder = RememberingEmbedder()
    worlds = traffic.training(seed)
    measured: dict[str, list[Measured]] = {}
    for number, world in enumerate(worlds, 1):
        print(f"{number}/{len(worlds)} {world.name}", file=sys.stderr)
        measured[world.name] = measure(world, embedder)
    fitted_on = "squad2, mtrag_un, tau2_banking_kb, clinc150: one half of each, half answerable"
    calibration = as_calibration(design(measured, worlds), embedder.id, fitted_on, options.at)
    row = calibration.as_row() | {"provenance": provenance(worlds, seed)}
    file = options.out / f"{embedder.id}.json"
    file.write_text(json.dumps(row, indent=1, sort_keys=True) + "\n", "utf-8")
    print(f"{calibration.id} written to {file.name}")
    for name in NAMES:
        print(f"  {name:<14} {calibration.coefficients[name]:+.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
