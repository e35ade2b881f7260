"""Errors 565-579: prompts, replay and imported conversations."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class FormatUnknown(StaidError):
    """There is no format {format} of conversations; there are {known}."""

    code = "ST-565"
    hint = "Name one of them with --format."
    exit_code = 2


class NothingImported(StaidError):
    """{file} holds no conversation that can be imported: line {line}: {reason}"""

    code = "ST-566"
    hint = "Is this the right --format? `--map messages=NAME` says where a row has its messages."
    exit_code = 2


class RecordErased(StaidError):
    """The run {run} cannot be replayed: the content of fact {seq} ({kind}) was erased."""

    code = "ST-567"
    hint = "What was erased is gone for good; `staid why RUN` tells what remains."
    exit_code = 3


class RecordIncomplete(StaidError):
    """The run {run} cannot be replayed: {detail}"""

    code = "ST-568"
    hint = "It was recorded by an earlier release, or it was cut off; newer runs can be replayed."
    exit_code = 3


class PromptNotFound(StaidError):
    """There is no prompt {prompt}."""

    code = "ST-569"
    hint = "staid prompts list"
    exit_code = 2


class ReplayImpossible(StaidError):
    """This cannot be asked of {run}: {detail}"""

    code = "ST-570"
    hint = "staid replay --help"
    exit_code = 2
