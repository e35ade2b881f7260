"""The JSON Schema of `policy.yaml`, for editors: what belongs where, in the words of the reader."""

from __future__ import annotations

from typing import Any

from staid.domain.call import Effect
from staid.project.policy_file import SEVERITIES

_CONDITION = {"type": ["string", "boolean"], "description": "yes or no, or it cannot be decided"}
_DURATION = {"type": "string", "pattern": "^[0-9]{1,6}[smhdw]$"}
_AMOUNT = {"type": ["string", "number"], "pattern": "^[+-]?[0-9]+(\\.[0-9]+)?$"}
_TEXT = {"type": "string"}
_TOKEN = {"type": "string", "pattern": "^(user|group):.+"}
_TOKENS = {"anyOf": [_TOKEN, {"type": "array", "items": _TOKEN, "minItems": 1}]}
_EFFECT = {"enum": [effect.value for effect in Effect]}
_EFFECTS = {"anyOf": [_EFFECT, {"type": "array", "items": _EFFECT}]}
_NAME = {"type": "string", "maxLength": 80}


def schema() -> dict[str, Any]:
    """Return the schema of a whole file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "policy.yaml",
        "description": "Rules over tool calls. `staid gates check` knows more.",
        **_strict(
            {
                "version": {"enum": [1, "1"]},
                "timezone": _TEXT,
                "roles": _named({"type": "array", "items": _TEXT}),
                "tools": _named(_block()),
            },
            ["version"],
        ),
    }


def _block() -> dict[str, Any]:
    return _strict(
        {
            "effect": _EFFECTS,
            "unknown": {"enum": ["ok", True]},
            "rules": {"type": "array", "items": _rule()},
            "constraints": {"type": "array", "items": _constraint()},
            "budgets": {"type": "array", "items": _budget()},
        }
    )


def _rule() -> dict[str, Any]:
    return _strict(
        {
            "name": _NAME,
            "when": _CONDITION,
            "unless": _CONDITION,
            "for": _TEXT,
            "effect": _EFFECTS,
            "then": {"enum": list(SEVERITIES)},
            "message": _TEXT,
            "shadow": {"type": "boolean"},
            "sums": {"anyOf": [{"type": "boolean"}, _sums()]},
            "approvers": _TOKENS,
            "quorum": {"type": "integer", "minimum": 1, "maximum": 100},
            "ceilings": _named(_AMOUNT),
            "escalate": _strict({"after": _DURATION, "to": _TOKENS}, ["after", "to"]),
            "expires": _DURATION,
        },
        ["name", "then"],
    )


def _constraint() -> dict[str, Any]:
    return _strict(
        {
            "name": _NAME,
            "require": _CONDITION,
            "for": _TEXT,
            "effect": _EFFECTS,
            "message": _TEXT,
            "shadow": {"type": "boolean"},
        },
        ["name", "require"],
    )


def _budget() -> dict[str, Any]:
    return _strict(
        {
            "limit": _AMOUNT,
            "sum_of": _TEXT,
            "per": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]},
            "window": _DURATION,
            "name": _TEXT,
        },
        ["limit"],
    )


def _sums() -> dict[str, Any]:
    return _strict(
        {
            "of": _TEXT,
            "above": _AMOUNT,
            "per": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]},
            "window": _DURATION,
        },
        ["of", "above"],
    )


def _strict(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _named(value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": value}
