"""The directory in a file: principals, groups within groups, aliases, and who is disabled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias, cast

import yaml

from staid.access.membership import closure, paths
from staid.domain.errors import AskerDisabled, AskerMalformed, AskerUnknown, DirectoryInvalid
from staid.domain.principal import Principal, PrincipalKind

MAX_BYTES = 20 * 1024 * 1024
_KINDS = ("user", "service", "agent")
_PRINCIPAL_KEYS = {"name", "groups", "aliases", "disabled"}
_GROUP_KEYS = {"name", "groups"}

_Entry: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class Member:
    """One principal as the directory states it."""

    token: str
    name: str | None
    groups: frozenset[str]
    """Stated for it alone; nested ones are not resolved here."""
    aliases: frozenset[str]
    disabled: bool


@dataclass(frozen=True, slots=True)
class _State:
    """The file as it was read; never changed afterwards."""

    members: Mapping[str, Member]
    direct: Mapping[str, frozenset[str]]
    """Token of a principal or group -> groups that list it."""
    aliases: Mapping[str, str]


class FileDirectory:
    """Answers from the file as it is now: every call reads it, so a revoke holds at once.

    A file that is missing or wrong in one place answers nothing at all (`DirectoryInvalid`).
    Replace the file as a whole (write beside it, then rename): half a file may be valid YAML.
    """

    def __init__(self, path: Path | None) -> None:
        """Read nothing yet; without a path nobody exists, and rights can only be asserted."""
        self._path = path
        self._lock = threading.Lock()
        self._read: tuple[bytes, _State] | None = None

    def resolve(self, token: str) -> Principal:
        """Return the principal with its closure of groups, as of now; aliases are resolved.

        Raises `AskerMalformed`, `AskerUnknown`, `AskerDisabled`, `DirectoryInvalid`.
        """
        state = self._state()
        name = _canonical(state, token)
        member = state.members.get(name)
        if member is None:
            raise AskerUnknown(asker=token)
        if member.disabled:
            raise AskerDisabled(asker=token)
        return _principal(name, closure(state.direct, name))

    def asserted(self, token: str, groups: Iterable[str]) -> Principal:
        """Return the principal with exactly these groups, whatever the directory says of them.

        The groups are taken as the complete closure: nothing is added, not even what the directory
        nests them in, so an assertion never grants more than it says. The principal need not exist
        in the directory, but one that is disabled there stays so. Raises as `resolve` does.
        """
        state = self._state()
        name = _canonical(state, token)
        member = state.members.get(name)
        if member is not None and member.disabled:
            raise AskerDisabled(asker=token)
        stated = frozenset(groups)
        for group in sorted(stated):
            detail = _group_problem(group)
            if detail:
                raise AskerMalformed(asker=repr(group), detail=detail)
        return _principal(name, stated)

    def principals(self) -> tuple[Member, ...]:
        """Return every principal, disabled ones included, in the order of their tokens."""
        members = self._state().members
        return tuple(members[token] for token in sorted(members))

    def groups(self) -> Mapping[str, frozenset[str]]:
        """Return every group that is named anywhere -> the tokens listed in it directly."""
        members: dict[str, set[str]] = {}
        for token, groups in self._state().direct.items():
            if token.startswith("group:"):
                members.setdefault(token, set())
            for group in groups:
                members.setdefault(group, set()).add(token)
        return {group: frozenset(members[group]) for group in sorted(members)}

    def paths(self, token: str) -> Mapping[str, tuple[str, ...]]:
        """Return each group the principal belongs to -> how: the principal first, the group last.

        Raises as `resolve` does.
        """
        state = self._state()
        start = self.resolve(token).token
        found = paths(state.direct, start)
        return {group: found[group] for group in sorted(found) if group != start}

    def _state(self) -> _State:
        """Return the file's content, parsed again only when its bytes changed.

        The bytes are compared, not the time of change: two writes can fall into one tick of the
        file system's clock.
        """
        if self._path is None:
            return _State({}, {}, {})
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            detail = f"it cannot be read ({error.strerror})"
            raise DirectoryInvalid(file=self._path, detail=detail) from error
        with self._lock:
            if self._read is None or self._read[0] != data:
                self._read = (data, _Reader(self._path).state(data))
            return self._read[1]


def _canonical(state: _State, token: str) -> str:
    """Return the token of the principal that an alias or a token means."""
    if token in state.aliases:
        return state.aliases[token]
    problem = _principal_problem(token)
    if problem:
        raise AskerMalformed(asker=repr(token[:200]), detail=problem)
    return token


def _principal(token: str, groups: frozenset[str]) -> Principal:
    kind, _, rest = token.partition(":")
    issuer, slash, name = rest.partition("/")
    known = cast("PrincipalKind", kind)
    if not slash:
        issuer, name = "local", rest
    return Principal(issuer, known, name, groups)


def _principal_problem(token: str) -> str | None:
    kind, colon, name = token.partition(":")
    if not colon or kind not in _KINDS:
        return f"it begins with none of {', '.join(f'{kind}:' for kind in _KINDS)}"
    issuer, slash, rest = name.partition("/")
    if slash and (issuer in {"", "local"} or not rest):
        return "what stands before the / is the issuer, and `local` is left out"
    return _name_problem(name)


def _group_problem(token: str) -> str | None:
    kind, colon, name = token.partition(":")
    if not colon or kind != "group":
        return "a group is written group:finance"
    return _name_problem(name)


def _name_problem(name: str) -> str | None:
    if not name or len(name) > 300 or name != name.strip() or not name.isprintable():
        return "its name is empty, too long, or has control characters or outer white space"
    return None


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice: the second would silently win over a restriction."""


def _mapping_once(loader: _Strict, node: yaml.MappingNode) -> dict[Hashable, object]:
    seen: set[object] = set()
    for key, _ in node.value:
        if key.value in seen or key.tag == "tag:yaml.org,2002:merge":
            word = "stands twice" if key.value in seen else "is not supported"
            problem = f"the key {key.value!r} {word}"
            raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_Strict.add_constructor("tag:yaml.org,2002:map", _mapping_once)


class _Reader:
    """Checks a directory to the last key before anything of it is believed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def state(self, data: bytes) -> _State:
        """Return the directory that the bytes state; raise `DirectoryInvalid`."""
        top = self._mapping(self._load(data), "the file", {"principals", "groups"})
        members: dict[str, Member] = {}
        direct: dict[str, frozenset[str]] = {}
        for token, entry in self._entries(top, "principals", _principal_problem):
            members[token] = self._member(token, entry)
            direct[token] = members[token].groups
        for token, value in self._entries(top, "groups", _group_problem):
            entry = self._mapping(value, token, _GROUP_KEYS)
            direct[token] = self._groups(entry, token)
        return _State(members, direct, self._aliases(members))

    def _load(self, data: bytes) -> object:
        if len(data) > MAX_BYTES:
            self._fail(f"it has more than {MAX_BYTES:,} bytes")
        try:
            return yaml.load(data.decode("utf-8-sig"), _Strict)  # noqa: S506 - a SafeLoader
        except UnicodeDecodeError as error:
            self._fail("it is not UTF-8 text", error)
        except yaml.MarkedYAMLError as error:
            place = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
            self._fail(f"{place}{error.problem}", error)
        except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
            self._fail(f"it is not YAML ({type(error).__name__})", error)

    def _fail(self, detail: str, cause: Exception | None = None) -> NoReturn:
        raise DirectoryInvalid(file=self._path, detail=detail) from cause

    def _mapping(self, value: object, place: str, known: set[str] | None = None) -> _Entry:
        """Return a mapping with text keys, none of them unknown; nothing at all counts as empty."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._fail(f"{place} is not a mapping")
        entry = cast("dict[object, object]", value)
        for key in entry:
            if not isinstance(key, str):
                self._fail(f"{place}: the key {str(key)[:50]} is not a text")
            if known is not None and key not in known:
                names = ", ".join(sorted(known))
                self._fail(f"{place}: unknown key {key[:50]!r}; known are {names}")
        return cast("_Entry", entry)

    def _entries(
        self, top: _Entry, section: str, problem: Callable[[str], str | None]
    ) -> Iterator[tuple[str, object]]:
        for token, entry in self._mapping(top.get(section), section).items():
            detail = problem(token)
            if detail:
                self._fail(f"{section}: {token[:100]!r} is not a token: {detail}")
            yield token, entry

    def _member(self, token: str, value: object) -> Member:
        entry = self._mapping(value, token, _PRINCIPAL_KEYS)
        name, disabled = entry.get("name"), entry.get("disabled", False)
        if name is not None and not isinstance(name, str):
            self._fail(f"{token}: name is not a text")
        if not isinstance(disabled, bool):
            self._fail(f"{token}: disabled is neither true nor false")
        aliases = frozenset(self._texts(entry, token, "aliases"))
        return Member(token, name, self._groups(entry, token), aliases, disabled)

    def _groups(self, entry: _Entry, token: str) -> frozenset[str]:
        groups = self._texts(entry, token, "groups")
        for group in groups:
            detail = _group_problem(group)
            if detail:
                self._fail(f"{token}: {group[:100]!r} is not a group: {detail}")
        return frozenset(groups)

    def _texts(self, entry: _Entry, token: str, key: str) -> list[str]:
        value = entry.get(key)
        if value is None:
            return []
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        texts = [item for item in items if isinstance(item, str) and item.strip()]
        if not isinstance(value, list) or len(texts) != len(items):
            self._fail(f"{token}: {key} is not a list of texts")
        return texts

    def _aliases(self, members: Mapping[str, Member]) -> dict[str, str]:
        """Refuse an alias that means two principals: it would hand one's rights to the other."""
        found: dict[str, str] = {}
        for token, member in members.items():
            for alias in sorted(member.aliases):
                owner = alias if alias in members else found.get(alias)
                if owner is not None:
                    self._fail(f"{token}: the alias {alias[:100]!r} means {owner} already")
                found[alias] = token
        return found
