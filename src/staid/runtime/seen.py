"""What a model has seen when it proposes a call, and how far each text is trusted.

The asker's words are the user's. A passage is a record: only vetted documents are evidence, and
somebody answers for each of them. A tool's result is a record as far as the tool says so; all else
in it is a document, for anybody may have written it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from staid.domain.call import CallRecord, CallState
from staid.domain.label import conjunction
from staid.domain.message import Message
from staid.domain.passage import Passage
from staid.gates.provenance import Origin, Source, Texts, result_sources

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
        if record.state is CallState.DONE:
            tool, call = record.call.tool, record.call.id
            yield from result_sources(call, tool, record.result, trusts(tool), label)
