"""Single values of `policy.yaml`: each read strictly, a mistake told where it stands."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, InvalidOperation

from staid.domain.call import Effect
from staid.gates.budget import duration
from staid.gates.demand import Terms
from staid.gates.expression.scope import suggestion
from staid.gates.structuring import Structuring
from staid.project.policy_tree import Entries, Tree

SUMS_KEYS = ("of", "above", "per", "window")


def words_of(tree: Tree | None) -> str:
    """Return a text that may be missing."""
    return tree.text() if tree is not None else ""


def yes(tree: Tree | None) -> bool:
    """Return a yes or a no that may be missing."""
    if tree is None:
        return False
    value = tree.plain()
    if not isinstance(value, bool):
        raise tree.fault("write true or false")
    return value


def effects(tree: Tree | None) -> frozenset[Effect]:
    """Return the effects that are named; all of them where none is."""
    if tree is None:
        return frozenset(Effect)
    found: set[Effect] = set()
    for one in tree.listed(single=True):
        names = [effect.value for effect in Effect]
        if one.text() not in names:
            raise one.fault(f"{one.text()!r} is no effect{suggestion(one.text(), names)}")
        found.add(Effect(one.text()))
    return frozenset(found)


def terms(entries: Entries) -> Terms:
    """Return what a rule asks of approvers."""
    escalate, people = entries.get("escalate"), entries.get("quorum")
    expires = entries.get("expires")
    after: timedelta | None = None
    to: frozenset[str] = frozenset()
    if escalate is not None:
        inner = escalate.mapping(("after", "to"))
        after = duration_of(inner.required("after", escalate))
        to = tokens(inner.required("to", escalate))
    return Terms(
        tokens(entries.get("approvers")),
        quorum(people) if people is not None else 1,
        ceilings(entries.get("ceilings")),
        duration_of(expires) if expires is not None else None,
        after,
        to,
    )


def tokens(tree: Tree | None) -> frozenset[str]:
    """Return approvers."""
    if tree is None:
        return frozenset()
    found: list[str] = []
    for one in tree.listed(single=True):
        kind, _, name = one.text().partition(":")
        if kind not in {"user", "group"} or not name:
            raise one.fault(f"{one.text()!r} is no approver; write user:lead or group:leads")
        found.append(one.text())
    if not found:
        raise tree.fault("an empty list of approvers is nobody; leave it out for anybody")
    return frozenset(found)


def quorum(tree: Tree) -> int:
    """Return a number of people."""
    value = tree.plain()
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
        raise tree.fault("a quorum is a number of people, from 1 to 100")
    return value


def ceilings(tree: Tree | None) -> dict[str, Decimal]:
    """Return the amounts that approvers are bounded by."""
    if tree is None:
        return {}
    found: dict[str, Decimal] = {}
    for key, value in tree.items():
        kind, _, name = key.text().partition(":")
        if kind not in {"user", "group"} or not name:
            raise key.fault(f"{key.text()!r} is no approver; write user:lead or group:leads")
        found[key.text()] = decimal(value)
    return found


def decimal(tree: Tree) -> Decimal:
    """Return an exact number."""
    text = tree.text(as_written=True)
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise tree.fault(f"{text!r} is no number") from error
    if not value.is_finite() or len(text) > 40:
        raise tree.fault(f"{text[:40]!r} is no number")
    return value


def duration_of(tree: Tree) -> timedelta:
    """Return a duration such as 2d."""
    try:
        return duration(tree.text())
    except ValueError as error:
        raise tree.fault(str(error)) from error


def sums(tree: Tree | None) -> bool | Structuring:
    """Return which sum a rule watches: its own, one that is written down, or none."""
    if tree is None or isinstance(tree.plain(), bool):
        return True if tree is None else yes(tree)
    entries = tree.mapping(SUMS_KEYS)
    per, window = entries.get("per"), entries.get("window")
    above = decimal(entries.required("above", tree))
    if above <= 0:
        raise tree.fault("a sum is watched above a number that is above 0")
    return Structuring(
        entries.required("of", tree).text(),
        above,
        [each.text() for each in per.listed(single=True)] if per else "customer",
        duration_of(window) if window else "1d",
    )
