"""Errors of erasure, holds, retention and recorded readings."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class SubjectHeld(StaidError):
    """{subject} is under legal hold ({hold}): {reason}

    Nothing was erased.
    """

    code = "ST-535"
    hint = "When the reason is over: staid hold release {hold}"
    exit_code = 4


class EraseUnconfirmed(StaidError):
    """Erasing cannot be undone, and was not confirmed."""

    code = "ST-536"
    hint = "Nothing was erased. Look first: staid export subject {subject}; then add --yes."
    exit_code = 2


class HoldNotFound(StaidError):
    """There is no hold {hold} that is still in force."""

    code = "ST-537"
    hint = "staid hold list"
    exit_code = 2


class ReadingUnrecorded(StaidError):
    """The reading of {run} could not be recorded, so that the run is not shown."""

    code = "ST-538"
    hint = "The store has to be writable: staid doctor. The operator can use staid why {run}."


class ReasonNames(StaidError):
    """The reason names {subject}, and a reason stays in the record for good."""

    code = "ST-539"
    hint = "Say it without the name, for example: --reason 'request 4711 of the privacy desk'"
    exit_code = 2


class SubjectMalformed(StaidError):
    """{subject} is neither a principal nor a run."""

    code = "ST-540"
    hint = "Write it as user:ada, service:billing or run_…; `staid runs list` shows them."
    exit_code = 2


class TargetExists(StaidError):
    """{path} exists already, and an export does not overwrite it."""

    code = "ST-541"
    hint = "Name a file that does not exist yet, or an empty folder."
    exit_code = 2


class TargetUnwritable(StaidError):
    """{path} cannot be written: {detail}"""

    code = "ST-542"
    hint = "Name a place that has room and that you may write to: --out FILE."
    exit_code = 5
