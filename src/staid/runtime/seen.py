"""What a model has seen when it proposes a call, and how far each text is trusted.

The asker's words are the user's. A passage is a record: only vetted documents are evidence, and
somebody answers for each of them. A tool's result is a record as far as the tool says so; all else
in it is a document, for anybody may have written it. So is what it said when it failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from staid.domain.call import CallRecord, CallState
from staid.domain.label import EVERYONE, Label, conjunction
from staid.domain.message import Message
from staid.domain.passage import Passage
from staid.gates.sources import Origin, Source, Texts, result_sources

_BROKE = frozenset({CallState.FAILED, CallState.IN_DOUBT})

Trusts = Callable[[str], "bool | frozenset[str]"]
"""Whether the results of a tool are records, or which of their fields are."""


def seen(
    messages: Sequence[Message],
    evidence: Sequence[Passage],
    calls: Iterable[CallRecord],
    trusts: Trusts,
) -> Texts:
    """Return every text a model has seen in a turn; what it said itself is none."""
    return Texts([*_asked(messages), *_passages(evidence), *_results(evidence, calls, trusts)])


def _asked(messages: Sequence[Message]) -> Iterator[Source]:
    for number, message in enumerate(messages, 1):
        if message.role == "user":
            yield Source(f"message_{number}", Origin.USER, message.text, "the asker's words")


def _passages(evidence: Sequence[Passage]) -> Iterator[Source]:
    for passage in evidence:
        name = f"{passage.source}/{passage.document}"
        origin = Origin.RECORD if passage.vetted else Origin.DOCUMENT
        yield Source(passage.chunk, origin, passage.text, name, label=passage.label)


def _results(
    evidence: Sequence[Passage], calls: Iterable[CallRecord], trusts: Trusts
) -> Iterator[Source]:
    # What a tool returned may rest on every passage read before. The asker's own clause is left
    # out: whoever decides a call has to see what it rests on.
    label = conjunction(passage.label for passage in evidence)
    for record in calls:
        yield from of_call(record, trusts(record.call.tool), label)


def of_call(
    record: CallRecord,
    trusted: bool | frozenset[str],  # noqa: FBT001 - the tool's own property
    label: Label = EVERYONE,
) -> tuple[Source, ...]:
    """Return what a model learns from how a call ended; a failure is never a record."""
    call, tool = record.call.id, record.call.tool
    if record.state is CallState.DONE:
        return result_sources(call, tool, record.result, trusted, label)
    if record.state in _BROKE and record.error:
        return (Source(call, Origin.DOCUMENT, record.error, f"{tool} (error)", label=label),)
    return ()


class Results:
    """What came back from the calls of one context; what else a model saw there is not known.

    At most `most` characters are kept. The oldest go first, and what they said is `unknown` then.
    """

    def __init__(self, most: int = 1_000_000) -> None:
        """Start with nothing."""
        self._most = most
        self._kept: dict[str, tuple[Texts, int]] = {}

    def note(self, record: CallRecord, trusted: bool | frozenset[str]) -> None:  # noqa: FBT001
        """Remember how a call ended; once more is the same."""
        self.add(record.call.id, of_call(record, trusted))

    def add(self, name: str, sources: Iterable[Source]) -> None:
        """Remember some texts under a name."""
        fresh = tuple(sources)
        if not fresh:
            return
        kept = {key: value for key, value in self._kept.items() if key != name}
        kept[name] = Texts(fresh, whole=False), sum(len(source.text) for source in fresh)
        while len(kept) > 1 and sum(size for _, size in kept.values()) > self._most:
            del kept[next(iter(kept))]
        self._kept = kept  # as one step: calls run in several threads

    @property
    def texts(self) -> Texts:
        """All of them."""
        return Texts((), whole=False).plus(*(texts for texts, _ in self._kept.values()))
