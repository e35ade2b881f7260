"""Errors 1xx: project, settings and store."""

from __future__ import annotations

from staid.domain.errors.base import StaidError


class ProjectNotFound(StaidError):
    """There is no `staid.toml` in {directory} or above it."""

    code = "ST-101"
    hint = "Run `staid init DIR` to make a project, or name one with --project DIR."
    exit_code = 2


class SettingsInvalid(StaidError):
    """The setting {key} in {file} is not valid: {detail}"""

    code = "ST-102"
    hint = "Correct the file; docs/reference/settings.md lists every key."
    exit_code = 2


class EntryInvalid(StaidError):
    """The project's entry {entry} cannot be loaded: {detail}"""

    code = "ST-103"
    hint = "`entry` in staid.toml is `module:object`, and the object is a `staid.Project`."
    exit_code = 2


class StoreUnavailable(StaidError):
    """The store cannot be used: {detail}"""

    code = "ST-110"
    hint = "Check the store's URL, and that its folder is writable. Nothing was lost."


class StoreLocked(StaidError):
    """The store stayed locked by another process for {seconds} s."""

    code = "ST-111"
    hint = "Try again; if it stays so, look for a process that holds {path} open. Nothing was lost."


class StoreReadOnly(StaidError):
    """The store is read-only, so no answer could be recorded and none was given."""

    code = "ST-112"
    hint = "Make the database file and its folder writable for this user."


class StoreFull(StaidError):
    """The disk is full, so no answer could be recorded and none was given."""

    code = "ST-113"
    hint = "Free some room and ask again; what was acknowledged before is safe."


class SchemaNewer(StaidError):
    """The store was written by a newer Staid (schema {found}, this one knows {known})."""

    code = "ST-114"
    hint = "Upgrade Staid; an older release never touches a newer store."


class JournalKeyMissing(StaidError):
    """The journal's key {path} is missing, so the journal can be neither written nor verified."""

    code = "ST-115"
    hint = "Restore the key from your backup, or set STAID_JOURNAL_KEY."


class SecretMissing(StaidError):
    """The secret {reference} is not set."""

    code = "ST-116"
    hint = "Set it, or change the reference in staid.toml."
