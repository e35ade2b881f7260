"""Errors 52x: the record and its anchors."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class AnchorFailed(StaidError):
    """The newest seal could not be written to the anchor {target}: {detail}"""

    code = "ST-520"
    hint = "Runs go on. Mend the place named by `anchor` below [journal], then: staid anchor"


class AnchorUnreadable(StaidError):
    """The anchors in {file} cannot be read: {detail}"""

    code = "ST-521"
    hint = "Bring the file back from where its copies are kept; each line is one anchor."
    exit_code = 3


class AnchorMissing(StaidError):
    """No anchor is configured."""

    code = "ST-522"
    hint = 'Name a place outside: anchor = "file:PATH" below [journal] in staid.toml.'
    exit_code = 2
