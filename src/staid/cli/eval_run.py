"""Putting cases to an agent of a sandbox, and saying what was tried."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from staid.domain.canonical import digest
from staid.domain.errors import StaidError
from staid.evals.dataset import Case
from staid.evals.experiment import Candidate
from staid.evals.grader import CaseOutcome, SeenCall

if TYPE_CHECKING:
    from staid.domain.outcome import Outcome
    from staid.project.project import Project
    from staid.runtime.agent import Agent


def run_cases(
    box: Project,
    agent: str | None,
    cases: Sequence[Case],
    jobs: int,
    advance: Callable[[int], None],
) -> Mapping[str, CaseOutcome]:
    """Ask every case and return what the agent did, by case id; one that raised is kept as such.

    `box` is a sandbox: its runs leave no trace and its effects do not happen. Errors that hit every
    case alike (no such agent, no such tool) are raised.
    """
    name = box.agent_named(agent).name
    box.resolve_tools(name)
    asked = box.agent_named(name)

    async def everything() -> dict[str, CaseOutcome]:
        room = asyncio.Semaphore(jobs)
        seen: dict[str, CaseOutcome] = {}

        async def one(case: Case) -> None:
            async with room:
                seen[case.id] = await _ask(box, asked, case)
            advance(len(seen))

        async with asyncio.TaskGroup() as group:
            for case in cases:
                group.create_task(one(case))
        return seen

    return asyncio.run(everything())


def describe(box: Project, agent: str | None) -> Candidate:
    """Return what was tried, by hashes: model, instructions, settings, tools, documents."""
    from staid import __version__

    name = box.agent_named(agent).name
    chosen = box.agent_settings(name)
    spec = box.wiring.agent_spec(name)
    settings = {
        "agent": chosen.model_dump(mode="json"),
        "grounding": box.settings.grounding.model_dump(mode="json"),
        "gates": box.settings.gates.model_dump(mode="json"),
        "tools": sorted(spec.tools),
    }
    documents = [
        [document.source, document.id, document.version, document.label.key, document.vetted]
        for document in box.wiring.parts.corpus.documents()
    ]
    return Candidate(
        agent=name,
        model=chosen.model,
        prompts=spec.instructions_hash,
        settings=digest(_exact(settings)),
        knowledge=digest(documents),
        version=__version__,
    )


async def _ask(box: Project, asked: Agent, case: Case) -> CaseOutcome:
    runs: list[str] = []
    outcome: Outcome | None = None
    conversation: str | None = None
    try:
        for question in case.questions:
            outcome = await asked.ask(
                question, asker=case.asker, groups=case.groups, conversation=conversation
            )
            conversation = outcome.conversation
            runs.append(outcome.run)
        records = [await asyncio.to_thread(box.calls, run) for run in runs]
    except StaidError as error:
        return CaseOutcome(error=f"{error.code}: {error.message}")
    except Exception as error:  # noqa: BLE001 - one broken case must not cost the others
        return CaseOutcome(error=f"{type(error).__name__}: {error}")
    if outcome is None:
        return CaseOutcome()
    return CaseOutcome(
        outcome=outcome.outcome,
        reason=outcome.reason,
        text=outcome.text,
        cited=tuple(dict.fromkeys(citation.document for citation in outcome.citations)),
        calls=tuple(
            SeenCall(record.call.tool, record.call.arguments) for run in records for record in run
        ),
        confidence=outcome.confidence,
    )


def _exact(value: object) -> object:
    """Return JSON values with floats as their shortest text: hashes hold no floats."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {key: _exact(item) for key, item in fields.items()}
    if isinstance(value, list):
        return [_exact(item) for item in cast("list[object]", value)]
    return value
