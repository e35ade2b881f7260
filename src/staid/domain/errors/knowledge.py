"""Errors 2xx: knowledge and rights."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class SourceNotFound(StaidError):
    """There is no source {source}: neither a configured name nor a path."""

    code = "ST-201"
    hint = "Name a folder, a .jsonl file, or a key below [sources] in staid.toml."
    exit_code = 2


class RowMalformed(StaidError):
    """Line {line} of {file} is not a usable row: {detail}"""

    code = "ST-202"
    hint = (
        'A row is one JSON object with at least "id" and "text"; --map text=content renames fields.'
    )
    exit_code = 2


class DocumentUnreadable(StaidError):
    """The document {document} cannot be read: {detail}"""

    code = "ST-203"
    hint = "It was skipped whole; mend or remove it and ingest again."


class LabelInvalid(StaidError):
    """The label is not valid: {detail}"""

    code = "ST-204"
    hint = (
        '`{{"allow": [["group:finance","user:cfo"], ["group:employees"]], "deny": []}}` is a label.'
    )
    exit_code = 2


class DocumentNotFound(StaidError):
    """There is no document {document}."""

    code = "ST-205"
    hint = "Run `staid acl list` to see the ids; write source/id where an id is ambiguous."
    exit_code = 2


class DocumentAmbiguous(StaidError):
    """The id {document} exists in more than one source: {sources}."""

    code = "ST-206"
    hint = "Write it as source/id."
    exit_code = 2


class AskerUnknown(StaidError):
    """The asker {asker} is not in the project's directory."""

    code = "ST-210"
    hint = "Add it to the directory, or assert its groups with --groups group:a,group:b."
    exit_code = 2


class AskerDisabled(StaidError):
    """The asker {asker} is disabled in the project's directory."""

    code = "ST-211"
    hint = (
        "Nothing is answered for a disabled principal; enable it in the directory if this is wrong."
    )
    exit_code = 4


class AskerMalformed(StaidError):
    """{asker} is not a principal: {detail}"""

    code = "ST-212"
    hint = "Write it as user:ada (or service:billing); groups as group:finance."
    exit_code = 2


class DirectoryInvalid(StaidError):
    """The directory {file} is not valid: {detail}"""

    code = "ST-213"
    hint = "Correct the file; docs/reference/directory.md shows its form."
    exit_code = 2


class EmbedderMismatch(StaidError):
    """The corpus was embedded with {found}, the project is set to {wanted}."""

    code = "ST-220"
    hint = "Set the embedder back, or ingest again with `staid ingest --rebuild`."


class EmbedderBroken(StaidError):
    """The embedding model cannot be used: {detail}"""

    code = "ST-221"
    hint = "Install Staid again; the model file is pinned by its hash."


class CalibrationMissing(StaidError):
    """There is no calibration for the embedder {embedder}: a cosine is no confidence."""

    code = "ST-222"
    hint = 'Run `make fit-confidence`, or set signal = "similarity" below [grounding].'
