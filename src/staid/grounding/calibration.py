"""How retrieval signals become a probability: fitted once, pinned by id, always recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from staid.domain.errors import CalibrationMissing

INDEX_VERSION = "fusion-1"
"""Names how the index computes its signals; a change there asks for a new fit."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Coefficients of a logistic model over standardised features, and where they come from."""

    id: str
    embedder: str
    index_version: str
    fitted_on: str
    at: str
    intercept: float
    coefficients: Mapping[str, float]
    """Feature -> weight of the standardised value."""
    means: Mapping[str, float]
    scales: Mapping[str, float]

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Calibration:
        """Read a calibration from its JSON form."""
        return cls(
            id=row["id"],
            embedder=row["embedder"],
            index_version=row["index_version"],
            fitted_on=row["fitted_on"],
            at=row["at"],
            intercept=float(row["intercept"]),
            coefficients={name: float(value) for name, value in row["coefficients"].items()},
            means={name: float(value) for name, value in row["means"].items()},
            scales={name: float(value) for name, value in row["scales"].items()},
        )

    def as_row(self) -> dict[str, Any]:
        """Return the JSON form that `parse` reads."""
        return {
            "id": self.id,
            "embedder": self.embedder,
            "index_version": self.index_version,
            "fitted_on": self.fitted_on,
            "at": self.at,
            "intercept": self.intercept,
            "coefficients": dict(self.coefficients),
            "means": dict(self.means),
            "scales": dict(self.scales),
        }


@cache
def packaged(embedder: str) -> Calibration | None:
    """Return the committed calibration for this embedder and index, or None."""
    for file in sorted(
        files("staid.grounding").joinpath("coefficients").iterdir(), key=lambda f: f.name
    ):
        if not file.name.endswith(".json"):
            continue
        calibration = Calibration.parse(json.loads(file.read_text("utf-8")))
        if (calibration.embedder, calibration.index_version) == (embedder, INDEX_VERSION):
            return calibration
    return None


def required(embedder: str) -> Calibration:
    """Return the committed calibration; raise `CalibrationMissing` for an embedder without one."""
    found = packaged(embedder)
    if found is None:
        raise CalibrationMissing(embedder=embedder)
    return found
