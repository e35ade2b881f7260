"""How a request becomes the text a model reads: versioned templates, and passages nobody can leave.

The templates are files `prompts/NAME@VERSION.md`; a released file is never edited, a change is a
new version. Whatever an outsider wrote (passages, the question) goes in line by line behind a
marker, so no text can end its own block or open another one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from staid.domain.message import ModelRequest
from staid.domain.passage import Passage

_FOLDER = Path(__file__).parent / "prompts"
_VERSIONS = {"answer": "1", "act": "1"}
_SECTION = re.compile(r"^=== (\w+) ===\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Template:
    """One template as it is on disk: what the journal pins by name, version and hash."""

    name: str
    version: str
    sha256: str
    instructions: str
    question: str
    revision: str

    def fill(self, section: str, **values: str) -> str:
        """Return the section with its places filled; a value is never read as a template."""
        return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), section)


@dataclass(frozen=True, slots=True)
class Prompt:
    """The three texts of one request, ready to be sent."""

    instructions: str
    question: str
    revision: str | None


def prompt_identity(request: ModelRequest) -> tuple[str, str, str]:
    """Return name, version and SHA-256 of the template this request is rendered with."""
    used = _template(request)
    return used.name, used.version, used.sha256


def render(request: ModelRequest) -> Prompt:
    """Return the prompt of a request: equal requests give equal text to the byte."""
    used = _template(request)
    passages = "\n\n".join(_passage(n, p) for n, p in enumerate(request.evidence, start=1))
    return Prompt(
        instructions=used.fill(
            used.instructions, instructions=clean(request.instructions).strip()
        ).strip(),
        question=used.fill(
            used.question, passages=passages, question=_quoted(_question(request), "> ")
        ),
        revision=None
        if request.revise is None
        else used.fill(used.revision, problems=_quoted(request.revise, "> ")),
    )


def packaged() -> dict[str, str]:
    """Return name -> text of the templates in use, as they are on disk."""
    return {
        name: (_FOLDER / f"{name}@{version}.md").read_text("utf-8")
        for name, version in _VERSIONS.items()
    }


def clean(text: str) -> str:
    """Return the text as it can travel: what UTF-8 cannot carry becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _question(request: ModelRequest) -> str:
    asked = [message.text for message in request.messages if message.role == "user"]
    return asked[-1] if asked else request.question


def _quoted(text: str, marker: str) -> str:
    # splitlines knows every line separator of Unicode: none of them can fake a line of ours.
    return (
        "\n".join(f"{marker}{line}".rstrip() for line in clean(text).splitlines())
        or marker.rstrip()
    )


def _passage(number: int, passage: Passage) -> str:
    # Title and section are written by outsiders, too, so they stand behind the marker.
    head = " > ".join(part for part in (passage.title, passage.section) if part)
    body = f"{head}\n\n{passage.text}" if head else passage.text
    return f"[passage {number} id {passage.chunk}]\n{_quoted(body, '| ')}"


def _template(request: ModelRequest) -> Template:
    return _load("answer" if request.evidence else "act")


@cache
def _load(name: str) -> Template:
    version = _VERSIONS[name]
    data = (_FOLDER / f"{name}@{version}.md").read_bytes()
    _, *pieces = _SECTION.split(data.decode())
    parts = {title: text.strip() for title, text in zip(pieces[::2], pieces[1::2], strict=True)}
    return Template(
        name=name,
        version=version,
        sha256=hashlib.sha256(data).hexdigest(),
        instructions=parts["instructions"],
        question=parts["question"],
        revision=parts["revision"],
    )
