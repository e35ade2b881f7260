"""A model that plays a file: for demos and tests, and labelled as scripted in all it says.

The form of the file is in docs/reference/scripted.md. Nothing is remembered between requests: which
step is played follows from the request alone, so a parked run plays on in any process.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from staid.domain.canonical import Json
from staid.domain.errors import ScriptInvalid
from staid.domain.message import Message, ModelRequest, ModelResponse, ProposedCall

LABEL = "scripted"


@dataclass(frozen=True, slots=True)
class Step:
    """What is played in answer to one request."""

    text: str
    calls: tuple[tuple[str, Mapping[str, Json]], ...]
    """Tool and arguments, in order."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The steps for the questions that match."""

    when: re.Pattern[str] | None
    contains: str | None
    steps: tuple[Step, ...]

    def match(self, question: str) -> Mapping[str, str] | None:
        """Return what the pattern's named groups caught; None where the question does not match."""
        if self.contains is not None and self.contains.casefold() not in question.casefold():
            return None
        if self.when is None:
            return {}
        found = self.when.search(question)
        return None if found is None else {k: v or "" for k, v in found.groupdict().items()}


class ScriptedModel:
    """Plays the same response to the same request, always; raises `ScriptInvalid` when it is built.

    The first scene that matches the question is played; its step is the number of the assistant's
    messages since the last user message. No scene, or no step left: an empty text.
    """

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        """Read and check the whole file now, so that a broken script never starts a run."""
        self._name = name or f"scripted:{path.name}"
        self._scenes = read_script(path)

    @property
    def name(self) -> str:
        """The name as configured: `scripted:FILE`."""
        return self._name

    async def generate(self, request: ModelRequest) -> ModelResponse:
        """Return the step that this request is at."""
        for scene in self._scenes:
            caught = scene.match(request.question)
            if caught is not None:
                return self._play(scene, caught, request)
        return self._response("", ())

    def _play(
        self, scene: Scene, caught: Mapping[str, str], request: ModelRequest
    ) -> ModelResponse:
        since = _since_question(request.messages)
        at = sum(message.role == "assistant" for message in since)
        if at >= len(scene.steps):
            return self._response("", ())
        results = [message.text for message in since if message.role == "tool"]
        values = {**caught, "result": results[-1] if results else ""}
        step = scene.steps[at]
        calls = tuple(
            # Unique in its conversation, and the same again whenever this request is played again.
            ProposedCall(f"scripted-{len(request.messages)}-{n}", tool, _filled_map(given, values))
            for n, (tool, given) in enumerate(step.calls, start=1)
        )
        return self._response(_filled(step.text, values), calls)

    def _response(self, text: str, calls: tuple[ProposedCall, ...]) -> ModelResponse:
        return ModelResponse(text=text, calls=calls, model=self._name, labelled=LABEL)


def _since_question(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    asked = [n for n, message in enumerate(messages) if message.role == "user"]
    return messages[asked[-1] + 1 :] if asked else messages


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), text)


def _filled_map(arguments: Mapping[str, Json], values: Mapping[str, str]) -> dict[str, Json]:
    return {key: _filled_json(value, values) for key, value in arguments.items()}


def _filled_json(value: Json, values: Mapping[str, str]) -> Json:
    match value:
        case str():
            return _filled(value, values)
        case list() | tuple():
            return [_filled_json(item, values) for item in value]
        case Mapping():
            return _filled_map(value, values)
        case _:
            return value


# --- reading -------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML with the scalars of JSON only: `2026-05-01`, `12:30`, `007` and `no` stay text."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # PyYAML reads it from the class


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"), ["t", "f"])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"(?:null|~|)\Z"), ["n", "~", ""]
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"-?(?:0|[1-9]\d*)\Z"), list("-0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"-?(?:0|[1-9]\d*)\.\d+\Z"), list("-0123456789")
)


class _Composer(_Loader):
    """Composes without references: a script is a plain tree."""

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = cast("yaml.Mark", self.peek_event().start_mark)
            problem = "references (`*name`) are not part of the form"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        return super().compose_node(parent, index)  # pyright: ignore[reportArgumentType]  # the stub is too narrow


def read_script(path: Path) -> tuple[Scene, ...]:
    """Return the scenes of a script; raise `ScriptInvalid` naming the line of the first mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptInvalid(
            file=path, detail=f"it cannot be read ({type(error).__name__})"
        ) from error
    return _Reader(path).scenes(text)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._loader = _Loader("")

    def scenes(self, text: str) -> tuple[Scene, ...]:
        try:
            root = _Composer(text).get_single_node()
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ScriptInvalid(file=self._path, detail=f"line {line}: {error.problem}") from error
        except yaml.YAMLError as error:
            raise ScriptInvalid(file=self._path, detail=f"it is not YAML: {error}") from error
        return tuple(self._scene(node) for node in self._items(root, "the script"))

    def _scene(self, node: yaml.Node) -> Scene:
        fields = self._fields(node, "a scene", {"when", "contains", "steps"})
        if "steps" not in fields:
            raise self._invalid(node, "a scene needs `steps`")
        steps = tuple(self._step(item) for item in self._items(fields["steps"], "`steps`"))
        contains = self._text(fields["contains"], "`contains`") if "contains" in fields else None
        return Scene(self._pattern(fields.get("when")), contains, steps)

    def _pattern(self, node: yaml.Node | None) -> re.Pattern[str] | None:
        if node is None:
            return None
        try:
            return re.compile(self._text(node, "`when`"), re.IGNORECASE)
        except re.error as error:
            raise self._invalid(node, f"`when` is not a regular expression: {error}") from error

    def _step(self, node: yaml.Node) -> Step:
        fields = self._fields(node, "a step", {"text", "calls"})
        if not fields:
            raise self._invalid(node, "a step needs `text`, `calls` or both")
        text = self._text(fields["text"], "`text`") if "text" in fields else ""
        calls = self._items(fields["calls"], "`calls`") if "calls" in fields else []
        return Step(text, tuple(self._call(item) for item in calls))

    def _call(self, node: yaml.Node) -> tuple[str, Mapping[str, Json]]:
        fields = self._fields(node, "a call", {"tool", "arguments"})
        if "tool" not in fields:
            raise self._invalid(node, "a call needs `tool`")
        arguments = fields.get("arguments")
        if arguments is not None and not isinstance(arguments, yaml.MappingNode):
            raise self._invalid(arguments, "`arguments` is a mapping")
        given = {} if arguments is None else self._object(arguments)
        return self._text(fields["tool"], "`tool`"), given

    def _object(self, node: yaml.Node) -> dict[str, Json]:
        return {key: self._json(item) for key, item in self._fields(node, "a value", None).items()}

    def _json(self, node: yaml.Node) -> Json:
        if isinstance(node, yaml.MappingNode):
            return self._object(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._json(item) for item in node.value]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Json:
        try:
            value = cast("object", self._loader.construct_object(node))
        except (yaml.YAMLError, ValueError) as error:
            raise self._invalid(node, f"{node.value!r} is not a JSON value") from error
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        raise self._invalid(node, f"{node.tag} is not a JSON value")

    def _fields(self, node: yaml.Node, what: str, known: set[str] | None) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self._invalid(node, f"{what} is a mapping")
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self._text(key, "a key")
            if known is not None and name not in known:
                raise self._invalid(
                    key, f"{what} has no key `{name}`; it has {', '.join(sorted(known))}"
                )
            if name in fields:
                raise self._invalid(key, f"the key `{name}` is there twice")
            fields[name] = value
        return fields

    def _items(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._invalid(node, f"{what} is a list")
        return list(node.value)

    def _text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str":
            raise self._invalid(node, f"{what} is a text; put it in quotes")
        return str(node.value)

    def _invalid(self, node: yaml.Node | None, detail: str) -> ScriptInvalid:
        where = f"line {node.start_mark.line + 1}: " if node is not None else ""
        return ScriptInvalid(file=self._path, detail=f"{where}{detail}")
