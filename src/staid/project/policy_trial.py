"""A candidate policy tried on what is recorded, and the sign-off that a looser one needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from staid.domain.errors import SignOffRefused
from staid.domain.principal import Actor, Principal
from staid.gates.backtest import Backtest, backtest
from staid.gates.rules import Policy
from staid.project.policy_file import read_policy
from staid.runtime.replay.gate import without_handlers
from staid.store.past_calls import past_uses
from staid.store.signing import SignOff, SqlSignOffs

if TYPE_CHECKING:
    from staid.project.project import Project


@dataclass(frozen=True, slots=True)
class Trial:
    """What a candidate would have ruled, and whether somebody signed off that it is looser."""

    policy: Policy
    found: Backtest
    signed: bool


def candidate(project: Project, file: Path | None) -> Policy:
    """Return a policy file's policy, or the project's; raise `PolicyInvalid`."""
    if file is None:
        return project.wiring.policy
    return read_policy(file, project.tools).required()


def tried(project: Project, policy: Policy, since: datetime | None) -> Trial:
    """Rule on every recorded call by a candidate; nothing is carried out."""
    wiring = project.wiring
    found = backtest(
        past_uses(wiring.run_store),
        without_handlers(project.tools),
        policy,
        since=since,
        until=wiring.clock.now(),
    )
    signed = bool(found.loosened) and _signs(project).covers(policy.version, len(found.loosened))
    return Trial(policy, found, signed)


def sign_off(
    project: Project,
    trial: Trial,
    reason: str,
    *,
    by: str | Principal,
    groups: Sequence[str] | None = None,
) -> None:
    """Record who takes responsibility for a looser policy; raise `SignOffRefused`."""
    who = project.wiring.identify(by, groups)
    if not reason.strip():
        raise SignOffRefused(who=who.principal.token, detail="it has no reason")
    named = frozenset(project.settings.gates.approvers)
    if who.principal.kind != "user":
        raise SignOffRefused(who=who.principal.token, detail="only a person signs off")
    if named and not named & who.principal.tokens:
        detail = f"this takes one of {', '.join(sorted(named))}"
        raise SignOffRefused(who=who.principal.token, detail=detail)
    wiring = project.wiring
    signed = SignOff(trial.policy.version, wiring.policy.version, len(trial.found.loosened))
    actor = Actor("human", who.principal.token, who.via)
    _signs(project).sign(signed, reason.strip(), actor, wiring.clock.now())


def _signs(project: Project) -> SqlSignOffs:
    return SqlSignOffs(project.wiring.run_store, project.wiring.journal)
