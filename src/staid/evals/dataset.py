"""The data set: cases as JSON lines, each with what a good outcome looks like."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NoReturn, TypeAlias, cast

from staid.domain.canonical import Json, digest, plain
from staid.domain.errors import DatasetChanged, DatasetInvalid, LabelInvalid
from staid.domain.label import NOBODY, Label

OUTCOMES = ("answer", "abstention", "refusal", "pending")
"""What a case may expect a turn to end in."""

_CASE_KEYS = frozenset(
    {"id", "intent", "as", "groups", "turns", "expect", "label", "weight", "origin"}
)
_EXPECT_KEYS = frozenset({"outcome", "contains", "cites", "calls", "never_calls"})
_MANIFEST = "manifest.json"

_Fields: TypeAlias = "dict[str, object]"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a case's conversation."""

    role: Literal["user", "assistant"]
    """`assistant` turns show a reader how it went; the agent under test gives its own replies."""
    text: str


@dataclass(frozen=True, slots=True)
class CallPattern:
    """A tool call to look for: the tool by name, and those arguments that matter."""

    tool: str
    arguments: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a good outcome looks like; at least one criterion is set, so a case can fail."""

    outcome: str | None = None
    contains: tuple[str, ...] = ()
    cites: tuple[str, ...] = ()
    calls: tuple[CallPattern, ...] = ()
    never_calls: tuple[CallPattern, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One interaction with its expectation."""

    id: str
    intent: str
    asker: str
    """`as` in the file: the token of the principal who asks."""
    groups: tuple[str, ...] | None
    """Asserted groups; None takes the asker's groups from the project's directory."""
    turns: tuple[Turn, ...]
    expect: Expectation
    label: Label = NOBODY
    """Who may read the case; nobody but the operator where the file says nothing."""
    weight: float = 1.0
    """How many interactions the case stands for; above 0."""
    origin: str = ""

    @property
    def questions(self) -> tuple[str, ...]:
        """The turns that are put to the agent, in order."""
        return tuple(turn.text for turn in self.turns if turn.role == "user")


def parse_cases(text: str, file: str) -> tuple[Case, ...]:
    """Return the cases of a file in its order; each id occurs once and every line is a whole case.

    Empty lines are allowed. Raises `DatasetInvalid` with file and line for anything else, an
    unknown key included: a misspelt criterion would be a check that silently never happens.
    """
    lines: dict[str, int] = {}
    cases: list[Case] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            case = _case(_object(_json(line), "the line"))
            if case.id in lines:
                _refuse(f"the id {case.id!r} is already on line {lines[case.id]}")
        except _CaseError as error:
            raise DatasetInvalid(file=file, line=number, detail=error) from None
        lines[case.id] = number
        cases.append(case)
    if not cases:
        raise DatasetInvalid(file=file, line=1, detail="the file holds no case")
    return tuple(cases)


def fingerprint(cases: Iterable[Case]) -> str:
    """Return the hash of the cases' content as 64 hex digits, whatever their order in the file."""
    rows = [
        [
            case.id,
            case.intent,
            case.asker,
            None if case.groups is None else list(case.groups),
            [[turn.role, turn.text] for turn in case.turns],
            _expectation_rows(case.expect),
            case.label.key,
            repr(case.weight),
            case.origin,
        ]
        for case in sorted(cases, key=lambda case: case.id)
    ]
    return digest(rows)


def check_manifest(cases: Iterable[Case], manifest: str, file: str) -> None:
    """Raise `DatasetChanged` unless the manifest beside the data set states these cases' hash.

    `manifest` is the text of `manifest.json`; one that has no `content_hash`, or names another
    file under `file`, raises too, because a pin that pins nothing would look like one that does.
    """
    found = fingerprint(cases)
    try:
        fields = _object(_json(manifest), _MANIFEST)
        stated = _text(fields, "content_hash").removeprefix("sha256:")
        named = _text(fields, "file", "") or file
    except _CaseError as error:
        raise DatasetChanged(file=file, found=found, stated=f"nothing usable ({error})") from None
    if named != file:
        raise DatasetChanged(file=file, found=found, stated=f"the hash of {named}")
    if stated != found:
        raise DatasetChanged(file=file, found=found, stated=stated)


# --- reading one line ----------------------------------------------------------------------


class _CaseError(ValueError):
    """What is wrong with one line; the caller adds file and line."""


def _refuse(detail: str) -> NoReturn:
    raise _CaseError(detail)


def _json(text: str) -> object:
    try:
        # Floats never reach a comparison of amounts: 49.10 stays the decimal it was written as.
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        _refuse(f"not JSON ({error.msg}, column {error.colno})")
    except RecursionError:
        _refuse("not JSON (nested too deeply)")


def _no_constant(name: str) -> NoReturn:
    _refuse(f"{name} is not JSON")


def _case(fields: _Fields) -> Case:
    _known(fields, _CASE_KEYS, "a case")
    case_id = _text(fields, "id")
    intent = _text(fields, "intent")
    groups = fields.get("groups")
    try:
        label = Label.parse(fields.get("label"))
    except LabelInvalid as error:
        _refuse(f"label: {error.message}")
    return Case(
        id=case_id,
        intent=intent,
        asker=_text(fields, "as"),
        groups=None if groups is None else _texts(groups, "groups"),
        turns=tuple(_turn(item) for item in _items(fields.get("turns"), "turns")),
        expect=_expectation(_object(fields.get("expect"), "expect")),
        label=label,
        weight=_weight(fields.get("weight", 1)),
        origin=_text(fields, "origin", ""),
    )


def _expectation(fields: _Fields) -> Expectation:
    _known(fields, _EXPECT_KEYS, "expect")
    outcome = fields.get("outcome")
    if outcome is not None and outcome not in OUTCOMES:
        _refuse(f"expect.outcome is {outcome!r}; it is one of {', '.join(OUTCOMES)}")
    expect = Expectation(
        outcome=cast("str | None", outcome),
        contains=_texts(fields.get("contains"), "expect.contains"),
        cites=_texts(fields.get("cites"), "expect.cites"),
        calls=_patterns(fields.get("calls"), "expect.calls"),
        never_calls=_patterns(fields.get("never_calls"), "expect.never_calls"),
    )
    if expect == Expectation():
        _refuse("expect names no criterion, so the case could never fail")
    return expect


def _turn(item: object) -> Turn:
    fields = _object(item, "a turn")
    _known(fields, frozenset({"role", "text"}), "a turn")
    role = fields.get("role")
    if role not in {"user", "assistant"}:
        _refuse(f"a turn's role is {role!r}; it is user or assistant")
    return Turn(cast("Literal['user', 'assistant']", role), _text(fields, "text"))


def _patterns(value: object, name: str) -> tuple[CallPattern, ...]:
    return tuple(_pattern(item, name) for item in _items(value, name))


def _pattern(item: object, name: str) -> CallPattern:
    if isinstance(item, str) and item:
        return CallPattern(item)
    fields = _object(item, f"an entry of {name}")
    _known(fields, frozenset({"tool", "arguments"}), f"an entry of {name}")
    arguments = _object(fields.get("arguments", {}), f"arguments in {name}")
    return CallPattern(
        _text(fields, "tool"), {key: plain(value) for key, value in arguments.items()}
    )


def _known(fields: _Fields, known: frozenset[str], where: str) -> None:
    unknown = sorted(set(fields) - known)
    if unknown:
        _refuse(f"unknown key {unknown[0]!r} in {where}; known: {', '.join(sorted(known))}")


def _object(value: object, name: str) -> _Fields:
    if not isinstance(value, dict):
        _refuse(f"{name} is not an object" if value is not None else f"{name} is missing")
    return cast("_Fields", value)


def _items(value: object, name: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        _refuse(f"{name} is not a list")
    return cast("list[object]", value)


def _texts(value: object, name: str) -> tuple[str, ...]:
    items = _items(value, name)
    if not all(isinstance(item, str) and item.strip() for item in items):
        _refuse(f"{name} is not a list of non-empty texts")
    return tuple(cast("list[str]", items))


def _text(fields: _Fields, key: str, default: str | None = None) -> str:
    value = fields.get(key, default)
    if value is None:
        _refuse(f"{key} is missing")
    if not isinstance(value, str) or (default is None and not value.strip()):
        _refuse(f"{key} is not a non-empty text")
    return value


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        _refuse("weight is not a number")
    try:
        number = float(value)
    except OverflowError:
        _refuse("weight is not finite")
    if not (number > 0 and math.isfinite(number)):
        _refuse("weight is not a finite number above 0")
    return number


def _expectation_rows(expect: Expectation) -> list[object]:
    return [
        expect.outcome,
        list(expect.contains),
        list(expect.cites),
        [[call.tool, call.arguments] for call in expect.calls],
        [[call.tool, call.arguments] for call in expect.never_calls],
    ]
