"""Errors 5xx: journal and evals."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class JournalBroken(StaidError):
    """The journal does not verify: {detail}"""

    code = "ST-501"
    hint = "Somebody changed recorded facts, or the key is another one. Compare with a backup."
    exit_code = 1


class DatasetInvalid(StaidError):
    """Line {line} of the dataset {file} is not a usable case: {detail}"""

    code = "ST-502"
    hint = "docs/reference/evals.md shows the form of a case."
    exit_code = 2


class DatasetChanged(StaidError):
    """The dataset {file} has the hash {found}, but its manifest states {stated}."""

    code = "ST-505"
    hint = (
        "If the change is meant, record it together with a new baseline: "
        "staid eval baseline DATASET --accept-changes"
    )
    exit_code = 3


class ExperimentInvalid(StaidError):
    """{file} is not a stored experiment: {detail}"""

    code = "ST-506"
    hint = "Write a new one: `staid eval run DATASET --out FILE` or `staid eval baseline DATASET`."
    exit_code = 2


class BaselineMissing(StaidError):
    """There is no baseline for {dataset}."""

    code = "ST-503"
    hint = "Record one: staid eval baseline"
    exit_code = 3


class NotComparable(StaidError):
    """The baseline and the candidate cannot be compared: {detail}"""

    code = "ST-504"
    hint = "Run the baseline again on the same cases."
    exit_code = 3
