"""A run told for a reader: each sentence bound to the journal facts it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from staid.domain.canonical import Json
from staid.domain.events import JournalRow
from staid.tracing.deciding import deciding
from staid.tracing.evidence import Basis, Origin, basis, basis_json
from staid.tracing.record import Record
from staid.tracing.summary import Sentence, summary
from staid.tracing.telling import sentence
from staid.tracing.waterfall import Span, span_json, waterfall


@dataclass(frozen=True, slots=True)
class Step:
    """One sentence of a story."""

    text: str
    facts: tuple[int, ...]
    """Numbers (`seq`) of the journal facts that the sentence says."""
    kind: str
    """Kind of the first of these facts."""
    decided: bool = False
    """Whether this is what decided the outcome."""


@dataclass(frozen=True, slots=True)
class Story:
    """The whole run: short for a reader, step by step, with its evidence and its times."""

    run: str
    outcome: str
    """The outcome's word; without one `interrupted`, or `external` where the turn is not ours."""
    sentences: tuple[Step, ...]
    """Three to six: who asked what, found, compared, proposed, ruled, said."""
    steps: tuple[Step, ...]
    """Every fact that says something, in order."""
    basis: Basis
    """What the outcome rests on: statements, passages, documents, sources."""
    spans: tuple[Span, ...]
    """What took how long, parents before children."""

    @property
    def deciding(self) -> Step | None:
        """The step that decided the outcome."""
        return next((step for step in self.steps if step.decided), None)

    @property
    def text(self) -> str:
        """The short story in one paragraph; the deciding sentence is marked."""
        return " ".join(f"{s.text} ← this decided" if s.decided else s.text for s in self.sentences)


def tell(
    run: str,
    rows: Sequence[JournalRow],
    *,
    hidden: frozenset[int] = frozenset(),
    unnamed: frozenset[tuple[str, str]] = frozenset(),
    origins: Mapping[str, Origin] | None = None,
    tokens: frozenset[str] | None = None,
) -> Story:
    """Tell a run from its recorded facts alone; names the fact that decided.

    `hidden` facts are told without their words; documents in `unnamed` (source, id) are not named
    among what was cut. `origins` says what the project knows of each source now. With `tokens`
    only these are named of a label: who else may read a document is not its readers' to know.
    """
    record = Record.of(run, rows, hidden, unnamed)
    decided = deciding(record)
    seq = decided.seq if decided else None
    return Story(
        run=run,
        outcome=record.outcome,
        sentences=_sentences(record, decided),
        steps=tuple(
            replace(step, decided=True) if seq in step.facts else step for step in _steps(record)
        ),
        basis=basis(record, origins or {}, tokens),
        spans=waterfall(record),
    )


def _sentences(record: Record, decided: JournalRow | None) -> tuple[Step, ...]:
    told = list(summary(record, decided))
    if decided is not None and all(decided not in one.rows for one in told):
        told.append(Sentence(sentence(record, decided) or decided.kind.value, (decided,)))
    return tuple(
        Step(
            one.text,
            tuple(sorted({row.seq for row in one.rows})),
            one.rows[0].kind.value,
            decided=decided is not None and decided in one.rows,
        )
        for one in told
    )


def _steps(record: Record) -> Sequence[Step]:
    told: dict[tuple[str, str], Step] = {}
    for row in record.rows:
        text = sentence(record, row)
        if text is not None:  # what a resume found again is said once, with both facts
            same = (text, str(row.fact.get("call")))
            earlier = told[same].facts if same in told else ()
            told[same] = Step(text, (*earlier, row.seq), row.kind.value)
    return tuple(told.values())


def story_json(story: Story) -> dict[str, Json]:
    """Return a story in the form of the CLI contract (product.md)."""
    found = story.deciding
    return {
        "run": story.run,
        "outcome": story.outcome,
        "story": story.text,
        "sentences": [_step_json(step) for step in story.sentences],
        "deciding": {"text": found.text, "facts": list(found.facts), "kind": found.kind}
        if found
        else None,
        "steps": [_step_json(step) for step in story.steps],
        **basis_json(story.basis),
        "waterfall": [span_json(span) for span in story.spans],
    }


def _step_json(step: Step) -> dict[str, Json]:
    return {
        "text": step.text,
        "facts": list(step.facts),
        "kind": step.kind,
        "decided": step.decided,
    }
