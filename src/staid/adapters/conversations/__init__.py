"""Conversations that other systems recorded: one file per format, each a pure function of a row.

A format is a function from one JSON value and a renaming of fields to a `RecordedConversation`; it
raises `RowRefused` with the reason. The next format is a file here and a line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from staid.adapters.conversations import openai_messages, tau
from staid.domain.recorded import RecordedConversation

Format: TypeAlias = Callable[[object, Mapping[str, str]], RecordedConversation]

FORMATS: Mapping[str, Format] = {"openai-messages": openai_messages.parse, "tau": tau.parse}
"""What `staid import --format` takes."""
