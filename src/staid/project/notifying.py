"""Telling people what waits for them: found, composed, delivered, tried again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from staid.domain.call import CallRecord, CallState, UndoState
from staid.domain.canonical import canonical, timestamp
from staid.domain.errors import StaidError
from staid.domain.errors.notify import ChannelNotFound, NotDelivered
from staid.domain.ids import ApprovalId, CallId
from staid.domain.notice import Channel, Notice
from staid.gates.approval import waited
from staid.project.settings import NotifySettings, secret

if TYPE_CHECKING:
    import httpx

    from staid.project.project import Project
    from staid.store.notices import SqlNotices, Waiting

FIRST_WAIT, LONGEST_WAIT = 15.0, 3600.0
"""Seconds before the second try, doubled every time, up to an hour."""
_MOST = 100
"""Notices one round sends, so that a round ends."""


@dataclass(frozen=True, slots=True)
class Notified:
    """What one round did."""

    sent: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    """Notices that did not arrive, with why; the next round tries again."""


def channels_of(project: Project) -> dict[str, Channel]:
    """Return every channel of the project, secrets resolved; raise `SecretMissing`."""
    return {name: _channel(project, each) for name, each in project.settings.notify.items()}


def notices_of(project: Project) -> SqlNotices:
    """Return where the project's notices are kept."""
    from staid.store.notices import SqlNotices

    return SqlNotices(project.wiring.run_store, project.wiring.ids)


def notify_once(project: Project) -> Notified:
    """Tell through every channel whatever waits and was not told yet; blocks while it sends.

    Safe in any number of processes: a notice is claimed by one. A crash between sending and
    recording sends the same notice again under the same id, never under another.
    """
    settings = project.settings.notify
    if not settings:
        return Notified()
    wiring, notices = project.wiring, notices_of(project)
    channels = channels_of(project)
    now = wiring.clock.now()
    for name, each in settings.items():
        notices.discover(name, each.kinds, now)
    sent: list[str] = []
    failed: list[tuple[str, str]] = []
    for _ in range(_MOST):
        waiting = notices.claim(wiring.worker, list(channels), wiring.clock.now())
        if waiting is None:
            break
        try:
            if _deliver(project, notices, waiting, channels[waiting.channel]):
                sent.append(waiting.id)
        except StaidError as error:
            asked = error.after if isinstance(error, NotDelivered) else None
            wait = asked or min(LONGEST_WAIT, FIRST_WAIT * 2**waiting.attempts)
            now = wiring.clock.now()
            notices.put_off(waiting, wiring.worker, now, error.message, wait)
            failed.append((waiting.id, error.message))
    return Notified(tuple(sent), tuple(failed))


def send_test(project: Project, name: str) -> str:
    """Send a notice that is about nothing through one channel, and return its receipt.

    Raises `ChannelNotFound`, `NotDelivered`, `SecretMissing`.
    """
    if name not in project.settings.notify:
        raise ChannelNotFound(channel=name)
    wiring = project.wiring
    notice = Notice(
        id=wiring.ids.new("not"),
        kind="test",
        about="test",
        project=project.settings.project.name,
        title="This is a test of a Staid channel",
        lines=("Nothing waits for you because of it.",),
        link=project.settings.project.address,
        at=wiring.clock.now(),
    )
    return _channel(project, project.settings.notify[name]).send(notice)


def _deliver(project: Project, notices: SqlNotices, waiting: Waiting, channel: Channel) -> bool:
    worker, clock = project.wiring.worker, project.wiring.clock
    notice = _compose(project, waiting)
    if notice is None:  # decided meanwhile: telling it now would only cost attention
        notices.end(waiting.id, worker, "moot", clock.now())
        return False
    receipt = channel.send(notice)
    notices.end(waiting.id, worker, "sent", clock.now(), receipt)
    return True


def _compose(project: Project, waiting: Waiting) -> Notice | None:
    match waiting.kind:
        case "approval" | "escalated":
            return _approval(project, waiting)
        case "in_doubt":
            undone = "/" in waiting.about
            return _undo_in_doubt(project, waiting) if undone else _in_doubt(project, waiting)
        case _:
            return _handoff(project, waiting)


def _approval(project: Project, waiting: Waiting) -> Notice | None:
    about = waiting.about.partition("/")[0]
    asked = project.wiring.ledger.approval(ApprovalId(about))
    if asked.state is not CallState.PENDING:
        return None
    title, lines = f"{asked.call.tool} waits for your decision", list[str]()
    if waiting.kind == "escalated":
        widened = asked.asks.escalated(waited(asked, project.wiring.clock.now()))
        title = f"{asked.call.tool} still waits for a decision"
        lines.append(f"Nobody decided it in time: {', '.join(sorted(widened))} may now, too.")
    lines += [
        f"{asked.call.agent} wants to use {asked.call.tool} for {asked.call.subject}.",
        f"Rule {asked.rule}: {asked.message}",
        f"It expires at {timestamp(asked.expires_at)[:16]}Z, to a no.",
    ]
    if _settings(project, waiting).details:
        lines += _values(asked.call.arguments)
        lines += [asked.preview] if asked.preview else []
    lines.append(f"staid approvals show {asked.id}")
    notice = _notice(project, waiting, title, lines, f"/approvals/{asked.id}")
    return replace(notice, about=about)


def _in_doubt(project: Project, waiting: Waiting) -> Notice | None:
    record: CallRecord = project.wiring.ledger.get(CallId(waiting.about))
    if record.state is not CallState.IN_DOUBT:
        return None
    lines = [
        f"Nobody knows whether {record.call.tool} took effect for {record.call.subject}.",
        "It is not tried again. Look in the system behind it for the call's key, then say so:",
        f"key {record.call.key}",
    ]
    if _settings(project, waiting).details:
        lines += _values(record.call.arguments)
    about = record.approval or record.call.id
    lines.append(f"staid approvals settle {about} --happened yes|no")
    return _notice(project, waiting, f"Did {record.call.tool} happen?", lines, _page(record))


def _undo_in_doubt(project: Project, waiting: Waiting) -> Notice | None:
    from staid.store.notices import undoing

    call = CallId(waiting.about.partition("/")[0])
    begun, record = project.wiring.ledger.undo_of(call), project.wiring.ledger.get(call)
    if begun is None or begun.state is not UndoState.IN_DOUBT:
        return None
    if undoing(call, begun.at) != waiting.about:  # begun again meanwhile: that is told itself
        return None
    tool = record.call.tool
    lines = [
        f"{begun.asked_by} took back what {tool} did for {record.call.subject}, and nobody knows",
        "whether that happened. It is not tried again. Look in the system behind it for the key:",
        f"key {record.call.key}",
    ]
    if _settings(project, waiting).details:
        lines += _values(record.call.arguments)
    lines.append(f"staid approvals settle {call} --happened yes|no")
    notice = _notice(project, waiting, f"Was {tool} taken back?", lines, _page(record))
    return replace(notice, about=call)


def _page(record: CallRecord) -> str:
    """Return the page of the console where a doubt about a call is settled."""
    return f"/approvals/{record.approval}" if record.approval else f"/calls/{record.call.id}"


def _handoff(project: Project, waiting: Waiting) -> Notice | None:
    found = notices_of(project).handed_over(waiting.about)
    if found is None:
        return None
    run, asker, reason = found
    lines = [f"{asker} asked what the agent could not answer ({reason})."]
    if _settings(project, waiting).details:
        first = project.wiring.records.rows(run)[0]
        lines.append(str((first.body or {}).get("question", "(erased)")))
    lines.append(f"staid handoffs answer {waiting.about}")
    return _notice(project, waiting, "A question was handed over", lines, "/handoffs")


def _notice(
    project: Project, waiting: Waiting, title: str, lines: list[str], path: str | None
) -> Notice:
    base = project.settings.project.address
    return Notice(
        id=waiting.id,
        kind=waiting.kind,
        about=waiting.about,
        project=project.settings.project.name,
        title=title,
        lines=tuple(lines),
        link=f"{base.rstrip('/')}{path}" if base and path else None,
        at=waiting.at,
    )


def _settings(project: Project, waiting: Waiting) -> NotifySettings:
    return project.settings.notify[waiting.channel]


def _values(arguments: Mapping[str, object]) -> list[str]:
    return [
        f"{name}: {value if isinstance(value, str) else canonical(value)}"
        for name, value in arguments.items()
    ]


def _channel(project: Project, settings: NotifySettings) -> Channel:
    from staid.adapters.notify.mail import Mail
    from staid.adapters.notify.slack import Slack
    from staid.adapters.notify.webhook import Webhook

    base = project.settings.directory_path

    def resolved(reference: str | None) -> str:
        return secret(reference, base) if reference else ""

    match settings.kind:
        case "webhook":
            key = resolved(settings.secret)
            return Webhook(resolved(settings.url), key, project.wiring.clock, _client())
        case "slack":
            return Slack(
                _client(),
                webhook=resolved(settings.url) or None,
                token=resolved(settings.token) or None,
                channel=settings.channel,
            )
        case "email":
            sender = settings.sender or ""
            return Mail(resolved(settings.server), sender, tuple(settings.to))


@lru_cache(maxsize=1)
def _client() -> httpx.Client:
    from staid.adapters.notify.posting import client

    return client()
