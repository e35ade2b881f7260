"""Telling the newest seal to places outside, and holding the record against what they were told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from staid.adapters.anchors import FileAnchors, Place, WebhookAnchors
from staid.domain.errors import SettingsInvalid
from staid.project.settings import FILE, secret
from staid.store.anchored import AnchorLog, anchor_of
from staid.tracing.anchor import Anchor
from staid.tracing.chain import Finding

if TYPE_CHECKING:
    from staid.project.project import Project

_KINDS: dict[str, Callable[[Project, str], Place]] = {
    "file": lambda project, rest: FileAnchors(project.settings.path(rest)),
    "webhook": lambda project, rest: WebhookAnchors(secret(rest, project.settings.directory_path)),
}


@dataclass(frozen=True, slots=True)
class Anchored:
    """One place that was told a seal."""

    target: str
    seq: int


def anchor_now(project: Project, *, every: bool = True) -> list[Anchored]:
    """Tell every place the newest seal unless it knows it; without `every`, only those due.

    Raises `AnchorFailed`, after which the places told before it stay told.
    """
    wiring = project.wiring
    seal = wiring.journal.sealed()
    if seal is None:
        return []
    told: list[Anchored] = []
    log, now = AnchorLog(wiring.store), wiring.clock.now()
    pause = timedelta(seconds=project.settings.journal.anchor_every)
    for target in project.settings.journal.anchor:
        last = log.last(target)
        if last is not None and (last[0] == seal.seq or (not every and now - last[2] < pause)):
            continue
        anchor = anchor_of(project.settings.project.name, seal.seq, seal.run, seal.hash, now)
        place(project, target).write(anchor)
        log.told(target, anchor, now)
        told.append(Anchored(target, seal.seq))
    return told


def against_anchors(project: Project) -> tuple[int, list[Finding]]:
    """Return how many anchors were read from outside, and everything that speaks against them."""
    findings: list[Finding] = []
    read = 0
    for target in project.settings.journal.anchor:
        if isinstance(place(project, target), FileAnchors):
            count, found = _against(project, target)
            read += count
            findings += found
    return read, findings


def _against(project: Project, target: str) -> tuple[int, list[Finding]]:
    file = project.settings.path(target.removeprefix("file:"))
    # What the store remembers only adds to what the file says: an intruder can change the store.
    known = AnchorLog(project.wiring.store).last(target)
    if known is None and not file.exists():
        return 0, []
    newest = 0

    def seen() -> Iterator[Anchor]:
        nonlocal newest
        for anchor in FileAnchors(file).read():
            newest = max(newest, anchor.seq)
            yield anchor

    count, findings = _counted(project, seen())
    if known is not None and newest < known[0]:
        problem = f"the anchors end at seal {newest}, but seal {known[0]} was told to {target}"
        findings.append(Finding("(anchors)", 0, problem))
    return count, findings


def against_file(project: Project, file: Path) -> tuple[int, list[Finding]]:
    """Hold the record against a file of anchors, wherever it was kept; raise `AnchorUnreadable`."""
    return _counted(project, FileAnchors(file).read())


def _counted(project: Project, anchors: Iterable[Anchor]) -> tuple[int, list[Finding]]:
    count = 0

    def counted() -> Iterator[Anchor]:
        nonlocal count
        for count, anchor in enumerate(anchors, 1):  # noqa: B007 - counted for the report
            yield anchor

    findings = project.wiring.journal.against(counted())
    return count, findings


def place(project: Project, target: str) -> Place:
    """Return the place behind `file:PATH` or `webhook:URL`; raise `SettingsInvalid`."""
    kind, _, rest = target.partition(":")
    if kind not in _KINDS or not rest:
        file = project.settings.directory_path / FILE
        detail = "an anchor is file:PATH or webhook:URL"
        raise SettingsInvalid(key="journal.anchor", file=file, detail=detail)
    return _KINDS[kind](project, rest)
