"""Aliases: what stands in the record for a person, so that a name can be taken out of it.

Recorded rows are hashed and can never change, so they hold an alias and a table outside the chain
says whose it is. Deleting that one row takes the name out of every fact at once. An alias is a
keyed hash: without the journal's key nobody can tell whether it is somebody's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache

from staid.tracing.chain import keyed

ERASED = "(erased)"
"""What is shown in the place of somebody whose alias belongs to no one any more."""

# What stands before an opening quote: inside a text a quote is escaped and stays as it is.
_PERSON = re.compile(r'(?<=[\[{,:])"user:(?:[^"\\]|\\.)+"')
_ALIAS = re.compile(r'(?<=[\[{,:])"sub_[0-9a-f]{32}"')
_WHOLE = re.compile(r"sub_[0-9a-f]{32}")


@lru_cache(maxsize=4096)
def alias_of(key: bytes, token: str) -> str:
    """Return the one alias of a token under a key: `sub_` and 32 hex digits."""
    return f"sub_{keyed(key, ['subject', token])[:32]}"


def is_alias(text: str) -> bool:
    """Return whether a text is an alias and nothing else."""
    return _WHOLE.fullmatch(text) is not None


def mask(key: bytes, text: str, met: MutableMapping[str, str]) -> str:
    """Return canonical JSON with an alias for every person's token; `met` learns whose they are."""
    if '"user:' not in text:
        return text

    def alias(found: re.Match[str]) -> str:
        token: str = json.loads(found[0])
        name = alias_of(key, token)
        met[name] = token
        return f'"{name}"'

    return _PERSON.sub(alias, text)


def aliases(texts: Iterable[str]) -> set[str]:
    """Return every alias that occurs in these JSON texts."""
    return {found[1:-1] for text in texts if '"sub_' in text for found in _ALIAS.findall(text)}


def unmask(text: str, known: Mapping[str, str], *, unknown: str | None = ERASED) -> str:
    """Return the JSON with tokens for aliases; for an alias of nobody `unknown`, or None: itself.

    A label keeps the alias of nobody: as a token it matches no one, as `(erased)` it is malformed.
    """
    if '"sub_' not in text:
        return text

    def token(found: re.Match[str]) -> str:
        name = found[0][1:-1]
        return json.dumps(known.get(name, unknown or name), ensure_ascii=False)

    return _ALIAS.sub(token, text)
