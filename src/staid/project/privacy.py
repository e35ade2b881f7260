"""Erasure, holds and recorded readings of one project."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from staid.domain.errors import StaidError
from staid.domain.errors.privacy import ReasonNames, SubjectMalformed
from staid.domain.principal import Actor

if TYPE_CHECKING:
    from staid.project.project import Project
    from staid.store.about import SqlAbout
    from staid.store.erasure import Erased, Order, SqlErasure
    from staid.store.holds import Hold, SqlHolds
    from staid.store.readings import SqlReadings

REASON = "the subject asked for it"
"""Why something is erased where nobody says otherwise."""

RETENTION = "retention"
"""Why something is erased that has reached its age."""
BETWEEN = timedelta(hours=1)
"""How long a worker waits between two looks at what has reached its age."""

_expired_at: WeakKeyDictionary[Project, datetime] = WeakKeyDictionary()
_PRINCIPAL = re.compile(r"(?:user|service|agent):\S(?:.*\S)?|sub_[0-9a-f]{32}")
_SHORTEST_NAME = 3


def erase_subject(project: Project, subject: str, reason: str = REASON) -> Erased:
    """Erase everything about one principal; the chain stays valid.

    Raises `SubjectHeld` while a hold covers the subject or one of its runs, `SubjectMalformed`,
    and `ReasonNames` for a reason that would keep the name. A second time does no harm.
    """
    checked_subject(subject)
    check_reason(subject, reason)
    return _erasure(project).erase(subject, order(project, reason))


def compact(project: Project) -> tuple[bool, float]:
    """Leave no erased byte in the store's files; return whether that is so, and the seconds."""
    from staid.store.forgetting import compact as compact_store

    began = perf_counter()
    done = compact_store(project.wiring.run_store)
    return done, perf_counter() - began


def expire(project: Project) -> dict[str, int]:
    """Take out content that is older than `[retention]` keeps its class; return class -> count."""
    from staid.store.retention import SqlRetention

    wiring = project.wiring
    kept = wiring.settings.retention.model_dump(exclude_none=True)
    now = wiring.clock.now()
    oldest = {name: now - timedelta(seconds=seconds) for name, seconds in kept.items()}
    retention = SqlRetention(wiring.run_store, wiring.journal)
    return retention.expire(oldest, order(project, RETENTION))


def expire_when_due(project: Project) -> dict[str, int]:
    """Do what `expire` does, at most once an hour in one process; else return nothing."""
    now = project.wiring.clock.now()
    last = _expired_at.get(project)
    if last is not None and now - last < BETWEEN:
        return {}
    _expired_at[project] = now
    return expire(project)


def order(project: Project, reason: str) -> Order:
    """Return an order of now, by whoever runs this process."""
    from staid.store.erasure import Order

    wiring = project.wiring
    return Order(reason, Actor("service", "staid", wiring.via), wiring.clock.now())


def place_hold(project: Project, target: str, reason: str) -> Hold:
    """Keep a principal or a run from being erased, by whoever asks; raise `SubjectMalformed`."""
    if target.startswith("run_"):
        project.wiring.records.run(target)  # a coded error for an unknown one
    else:
        checked_subject(target)
    wiring = project.wiring
    return holds(project).place(target, reason, operator_token(project), wiring.clock.now())


def release_hold(project: Project, hold: str) -> Hold:
    """End a hold; raise `HoldNotFound`."""
    return holds(project).release(hold, operator_token(project), project.wiring.clock.now())


def holds(project: Project) -> SqlHolds:
    """Return the holds of a project."""
    from staid.store.holds import SqlHolds

    wiring = project.wiring
    return SqlHolds(wiring.run_store, wiring.journal, wiring.ids)


def readings(project: Project) -> SqlReadings:
    """Return who read what of a project."""
    from staid.store.readings import SqlReadings

    wiring = project.wiring
    return SqlReadings(wiring.run_store, wiring.journal, wiring.clock)


def about(project: Project) -> SqlAbout:
    """Return what the project holds about subjects."""
    from staid.store.about import SqlAbout

    wiring = project.wiring
    return SqlAbout(wiring.run_store, wiring.journal, readings(project))


def operator_token(project: Project) -> str:
    """Return the token of the account that runs this process."""
    return f"user:{project.wiring.via or 'unknown'}"


def checked_subject(subject: str) -> str:
    """Return a principal's token, known to a directory or not; raise `SubjectMalformed`."""
    if not _PRINCIPAL.fullmatch(subject):
        raise SubjectMalformed(subject=repr(subject[:200]))
    return subject


def check_reason(subject: str, reason: str) -> None:
    """Raise `ReasonNames` where the reason says whom it is about: a reason is never erased."""
    name = re.split(r"[:/]", subject)[-1]
    words = rf"(?<!\w){re.escape(name)}(?!\w)"
    found = subject in reason or (
        len(name) >= _SHORTEST_NAME and re.search(words, reason, re.IGNORECASE)
    )
    if found:
        raise ReasonNames(subject=subject)


def told_reading(project: Project, runs: Sequence[str], surface: str) -> StaidError | None:
    """Record that the operator reads these runs; return the error where the store cannot take it.

    The operator's own terminal still tells: who owns the machine can read the file anyway, and a
    full disk is when the reason of an outage is looked for.
    """
    try:
        who = operator_token(project)
        readings(project).record(runs, who, surface, via=project.wiring.via)
    except StaidError as error:
        return error
    return None


def _erasure(project: Project) -> SqlErasure:
    from staid.store.erasure import SqlErasure

    wiring = project.wiring
    return SqlErasure(wiring.run_store, wiring.journal)
