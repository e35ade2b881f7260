"""Experiments, comparisons and verdicts in words: at 80 columns, piped or not, and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from staid.cli import output
from staid.evals.compare import Change, Comparison
from staid.evals.dataset import Case
from staid.evals.experiment import Experiment, Result
from staid.evals.grader import CaseOutcome
from staid.evals.merge_gate import GateResult, points

SHOWN = 20
"""So many cases are told in full; the rest is in --out."""
_NAME = 22
_WORDS = {"pass": "PASS", "block": "BLOCK", "cannot_tell": "CANNOT TELL"}

Seen = Mapping[str, CaseOutcome]


def experiment(
    found: Experiment, cases: Sequence[Case], seen: Seen, agent: str | None
) -> list[str]:
    """Return the rate by intent, weakest first, and every failing case with its reason."""
    failed = [result for result in found.results if not result.passed]
    lines = [_headline(found), "", *output.table(["intent", "cases", "passed"], _rates(found))]
    if failed:
        lines += ["", f"Failing cases ({len(failed)}):", *_cases(failed, cases, seen)]
        lines += ["", *_again(failed[0], cases, agent)]
    return lines


def recorded(found: Experiment, file: Path) -> list[str]:
    """Return what was recorded, and that it has to be committed."""
    return [_headline(found), "", f"Recorded; commit it: {file}"]


def comparison(found: Comparison, before: Experiment, after: Experiment) -> list[str]:
    """Return what changed by intent, regressions first, and the cases behind it."""
    lines = [*_changed_lines(before, after), "", *_table(found), *_blind_spot(found)]
    lines += _moved("Got worse", found.overall.lost, after)
    lines += _moved("Got better", found.overall.gained, after)
    return lines


def gate(
    result: GateResult,
    before: Experiment,
    after: Experiment,
    cases: Sequence[Case],
    seen: Seen,
) -> list[str]:
    """Return the verdict first, then what it rests on, the cases that got worse, what to do."""
    found = result.comparison
    lines = output.paragraph(f"{_WORDS[result.verdict]}: {result.reason}.")
    lines += ["", *_changed_lines(before, after), "", *_table(found), *_blind_spot(found)]
    by_id = {r.case: r for r in after.results}
    lost = [by_id[case] for case in found.overall.lost]
    if lost:
        lines += ["", f"Got worse ({len(lost)}):", *_cases(lost, cases, seen)]
    lines += _moved("Got better", found.overall.gained, after)
    advice = _advice(result)
    return [*lines, *(["", *output.paragraph(advice)] if advice else [])]


def gate_json(result: GateResult, before: Experiment, after: Experiment) -> dict[str, Any]:
    """Return the gate's JSON document (product.md), verdict first."""
    return {
        "verdict": result.verdict,
        "reason": result.reason,
        **comparison_json(result.comparison, before, after),
        "tolerance": result.tolerance,
        "worse": [change.name or "overall" for change in result.worse],
        "cases_needed": result.cases_needed,
    }


def comparison_json(found: Comparison, before: Experiment, after: Experiment) -> dict[str, Any]:
    """Return a comparison as JSON: the whole set at the top, each intent below `intents`."""
    overall = _change_json(found.overall)
    del overall["name"]
    return {
        **overall,
        "confidence": found.confidence,
        "intents": [_change_json(change) for change in found.intents],
        "errored": list(found.errored),
        "dataset": after.dataset,
        "changed": _changed(before, after),
        "candidates": {"baseline": asdict(before.candidate), "candidate": asdict(after.candidate)},
    }


def _change_json(change: Change) -> dict[str, Any]:
    return {**asdict(change), "interval": list(change.interval)}


def _headline(found: Experiment) -> str:
    done = sum(result.passed for result in found.results)
    return (
        f"{found.name}: {done} of {len(found.results)} cases pass ({100 * found.rate:.0f}%), "
        f"agent {found.candidate.agent}, model {found.candidate.model}"
    )


def _rates(found: Experiment) -> Iterator[tuple[str, str, str]]:
    by_intent: dict[str, list[Result]] = {}
    for result in found.results:
        by_intent.setdefault(result.intent, []).append(result)
    rows = [(sum(r.passed for r in group), len(group), name) for name, group in by_intent.items()]
    for done, total, name in sorted(rows, key=lambda row: (row[0] / row[1], row[2])):
        yield _short(name), f"{total:5}", f"{done:4} ({100 * done / total:.0f}%)"


def _table(found: Comparison) -> list[str]:
    head = ["intent", "cases", " base", " cand", "change", "    90% interval", "    p", "can see"]
    rows = [_row(change) for change in (*found.intents, found.overall)]
    return output.table(head, rows)


def _row(change: Change) -> list[str]:
    low, high = change.interval
    drop = change.minimum_detectable_drop
    return [
        _short(change.name) if change.name else "all",
        f"{change.cases:5}",
        f"{100 * change.baseline:4.0f}%",
        f"{100 * change.candidate:4.0f}%",
        f"{100 * change.difference:+6.1f}",
        f"{100 * low:+6.1f} to {100 * high:+6.1f}",
        f"{change.p_drop:5.3f}" if change.p_drop < 1 else "    1",
        f"{'-':>7}" if drop is None else f"{100 * drop:7.1f}",
    ]


def _blind_spot(found: Comparison) -> list[str]:
    drop = found.overall.minimum_detectable_drop
    if drop is None:
        text = "These cases could not have shown any drop, however large: add cases that pass."
    else:
        text = (
            f"A drop of {points(drop)} points or more over all intents would have been shown in "
            "at least 4 of 5 tries; a smaller one can hide. (Changes are in points; `can see` is "
            "that smallest drop, - where none could be shown.)"
        )
    if found.errored:
        text += f" {len(found.errored)} case(s) raised an error and count as failed."
    return ["", *output.paragraph(text)]


def _changed(before: Experiment, after: Experiment) -> list[str]:
    first, second = asdict(before.candidate), asdict(after.candidate)
    return [key for key in first if first[key] != second[key]]


def _changed_lines(before: Experiment, after: Experiment) -> list[str]:
    changed = _changed(before, after)
    said = ", ".join(changed) if changed else "nothing that is configured"
    return output.paragraph(f"{after.name}: changed since the baseline: {said}")


def _cases(results: Sequence[Result], cases: Sequence[Case], seen: Seen) -> Iterator[str]:
    by_id = {case.id: case for case in cases}
    for result in results[:SHOWN]:
        yield f"  {result.case} ({result.intent})"
        case = by_id.get(result.case)
        if case is not None and case.questions:
            yield f"    asked: {_cut(case.questions[-1])}"
        for item in result.grades:
            if not item.passed:
                yield from output.paragraph(f"{item.criterion}: {item.reason}", "    ")
        if result.case in seen and seen[result.case].text:
            yield f"    said: {_cut(seen[result.case].text)}"
    if len(results) > SHOWN:
        yield f"  and {len(results) - SHOWN} more; --out FILE or --json holds them all"


def _moved(title: str, ids: Sequence[str], after: Experiment) -> list[str]:
    if not ids:
        return []
    intents = {result.case: result.intent for result in after.results}
    names = ", ".join(f"{case} ({intents[case]})" for case in ids)
    return ["", *output.paragraph(f"{title} ({len(ids)}): {names}")]


def _again(result: Result, cases: Sequence[Case], agent: str | None) -> list[str]:
    case = next((case for case in cases if case.id == result.case), None)
    if case is None or not case.questions:
        return []
    command = f"staid ask {shlex.quote(case.questions[-1])} --as {shlex.quote(case.asker)}"
    if case.groups is not None:
        command += f" --groups {shlex.quote(','.join(case.groups))}"
    if agent:
        command += f" --agent {shlex.quote(agent)}"
    return [f"Look at the first: {command}", "and then: staid why RUN"]


def _advice(result: GateResult) -> str:
    if result.verdict == "block":
        return (
            "Next: mend what got worse. If the drop is meant, record a new baseline "
            "(staid eval baseline) and let somebody review it with the change."
        )
    if result.verdict == "pass":
        return ""
    if result.comparison.errored:
        return "Next: find out why cases raised and run again; an error says nothing of quality."
    needed = (
        f" About {result.cases_needed} cases as unsteady as these" if result.cases_needed else ""
    )
    needed = f"{needed} would settle it." if needed else ""
    return (
        f"Next: read the cases that got worse.{needed} Or state a wider --tolerance if such a "
        "drop would not matter."
    )


def _short(name: str) -> str:
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    room = output.width() - 14
    return flat if len(flat) <= room else flat[: room - 1] + "…"
