"""Errors 545 to 559: exports."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class SinkNotFound(StaidError):
    """There is no sink {sink} in staid.toml."""

    code = "ST-545"
    hint = "Name one of the sinks below [sinks.…]: staid export status shows them."
    exit_code = 2


class SinkUnreachable(StaidError):
    """The sink {sink} did not take what it was sent: {detail}"""

    code = "ST-546"
    hint = "Nothing is lost: it is tried again, ever more rarely. staid export status shows when."


class SinkRefused(StaidError):
    """The sink {sink} refused the request: {detail}"""

    code = "ST-547"
    hint = "Check its url, key and project below [sinks.{sink}]; what waits is sent afterwards."


class BatchRejected(StaidError):
    """The sink {sink} will not take these spans: {detail}"""

    code = "ST-548"
    hint = "The span at fault is named in staid export receipts; everything else arrives."


class SinkCannot(StaidError):
    """The sink {sink} cannot {what}: {detail}"""

    code = "ST-549"
    hint = "Do it in the receiver's own console; staid export receipts names the runs."


class SinkUnsafe(StaidError):
    """The sink {sink} may not be used like this: {detail}"""

    code = "ST-550"
    hint = "docs/guides/export.md says what leaves the project and how it is allowed."
    exit_code = 2
