"""A YAML file as a tree that knows where everything stands; what YAML may hide is refused.

No aliases (a few lines can stand for millions), no tags, no key that stands twice, no merge keys;
bounded in size and depth. Values are read by the YAML core rules, and `as_written` as the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import yaml

from staid.domain.canonical import Json
from staid.gates.expression.scope import suggestion

MAX_BYTES = 5 * 1024 * 1024
DEEPEST = 20


class TreeFault(Exception):
    """A mistake in the file: line and column, from 1, and what it is."""

    def __init__(self, line: int, column: int, detail: str) -> None:
        """Take the place and plain words."""
        super().__init__(detail)
        self.line = line
        self.column = column
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Tree:
    """A value of the file."""

    node: yaml.Node
    source: str

    @property
    def line(self) -> int:
        """Its line, from 1."""
        return self.node.start_mark.line + 1

    def fault(self, detail: str, at: int | None = None) -> TreeFault:
        """Return a mistake here; `at` is a place in the text of a scalar."""
        if at is None:
            return TreeFault(self.line, self.node.start_mark.column + 1, detail)
        place = self._place(at)
        before = self.source[:place]
        return TreeFault(before.count("\n") + 1, place - before.rfind("\n"), detail)

    def _place(self, at: int) -> int:
        """Return where the character of a scalar's text stands in the file."""
        start, end = self.node.start_mark.index, self.node.end_mark.index
        style = cast("str | None", getattr(self.node, "style", None))
        if style in {"|", ">"}:
            start = max(self.source.find("\n", start), start)
        elif style in {"'", '"'}:
            start += 1
        text = cast("str", self.node.value)
        for character in text[:at]:
            if not character.isspace():
                found = self.source.find(character, start, end)
                start = found + 1 if found >= 0 else start
        while start < end and self.source[start].isspace() and at < len(text):
            start += 1
        return start

    def mapping(self, keys: Iterable[str]) -> Entries:
        """Return the entries of a mapping; raise for any key beside these."""
        allowed = list(keys)
        found: dict[str, Tree] = {}
        for key, value in self.items():
            name = key.text()
            if name not in allowed:
                raise key.fault(f"{name!r} does not belong here{suggestion(name, allowed)}")
            found[name] = value
        return Entries(found)

    def items(self) -> list[tuple[Tree, Tree]]:
        """Return keys and values in order; raise where it is no mapping."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.fault("a mapping of names to values belongs here")
        pairs = cast("list[tuple[yaml.Node, yaml.Node]]", self.node.value)
        return [(Tree(key, self.source), Tree(value, self.source)) for key, value in pairs]

    def listed(self, *, single: bool = False) -> list[Tree]:
        """Return the items of a list; a `single` value is a list of one."""
        if single and isinstance(self.node, yaml.ScalarNode):
            return [self]
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.fault("a list belongs here")
        nodes = cast("list[yaml.Node]", self.node.value)
        return [Tree(node, self.source) for node in nodes]

    def text(self, *, as_written: bool = False) -> str:
        """Return a text; `as_written` also that of a number, of yes and of no."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.fault("a text belongs here")
        value = self.plain()
        if not isinstance(value, str) and not as_written:
            raise self.fault(f"{self.node.value!r} is not a text; put it in quotes")
        return cast("str", self.node.value)

    def plain(self) -> Json:
        """Return the value as YAML means it."""
        if isinstance(self.node, yaml.ScalarNode):
            return _scalar(self.node)
        if isinstance(self.node, yaml.MappingNode):
            return {key.text(as_written=True): value.plain() for key, value in self.items()}
        return [item.plain() for item in self.listed()]


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a mapping."""

    known: Mapping[str, Tree]

    def get(self, name: str) -> Tree | None:
        """Return the value of a key, or None."""
        return self.known.get(name)

    def required(self, name: str, tree: Tree) -> Tree:
        """Return the value of a key that has to be there."""
        if name not in self.known:
            raise tree.fault(f"{name!r} is missing")
        return self.known[name]

    def first(self, names: Iterable[str]) -> Tree | None:
        """Return the value of any of these keys."""
        return next((self.known[name] for name in sorted(names) if name in self.known), None)


def read_tree(data: bytes) -> Tree:
    """Return the tree of a file, or raise `TreeFault` for the first thing that is no plain YAML."""
    if len(data) > MAX_BYTES:
        raise TreeFault(1, 1, f"a policy has at most {MAX_BYTES:,} bytes")
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TreeFault(line, 1, "this is not UTF-8 text") from error
    try:
        _checked(cast("Iterator[yaml.Event]", yaml.parse(source, yaml.SafeLoader)))  # pyright: ignore[reportUnknownMemberType]  # untyped there
        node = cast("yaml.Node | None", yaml.compose(source, yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]  # untyped there
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise TreeFault(line, column, error.problem or "this is not YAML") from error
    except yaml.YAMLError as error:
        raise TreeFault(1, 1, "this is not YAML") from error
    if node is None:
        raise TreeFault(1, 1, "the file is empty; a policy without rules is version: 1")
    tree = Tree(node, source)
    _unique(tree)
    return tree


def _checked(events: Iterator[yaml.Event]) -> None:
    """Refuse what YAML may hide, before a tree is made of it."""
    depth = 0
    for event in events:
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise TreeFault(line, column, "anchors and aliases are not supported")
        if getattr(event, "tag", None):
            raise TreeFault(line, column, "tags are not supported")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise TreeFault(line, column, "this is nested too deep")


def _unique(tree: Tree) -> None:
    if isinstance(tree.node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in tree.items():
            name = key.text(as_written=True)
            if name == "<<":
                raise key.fault("merge keys are not supported")
            if name in seen:
                raise key.fault(f"the key {name!r} stands twice")
            seen.add(name)
            _unique(value)
    elif isinstance(tree.node, yaml.SequenceNode):
        for item in tree.listed():
            _unique(item)


def _scalar(node: yaml.ScalarNode) -> Json:
    text, tag = cast("str", node.value), node.tag
    match tag.rpartition(":")[2]:
        case "bool":
            return text.lower() in {"true", "yes", "on"}
        case "int" if text.lstrip("+-").isdigit() and len(text) < 40:
            return int(text)
        case "null":
            return None
        case "str" | "int" | "float" | _:
            return text
