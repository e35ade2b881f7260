"""Whatever waits for a person is told, once, through every channel, however long one is away."""

from __future__ import annotations

import asyncio
import email
import json
from collections.abc import Callable
from email.policy import default
from typing import Any

import pytest
from fastapi.testclient import TestClient

from staid.adapters.notify.signature import Receiver
from staid.domain.call import CallState, UndoState
from staid.domain.errors import CallInDoubt, CallPending, SettingsInvalid
from staid.domain.errors.notify import ChannelNotFound, NotDelivered
from staid.domain.ids import ApprovalId
from staid.project.deciding import record_decision, settle_doubt, take_back
from staid.project.notifying import notices_of, notify_once, send_test
from staid.project.project import Project
from staid.project.working import work_once
from staid.server.app import create_app

Desk = Callable[[str], Project]


def hook(endpoint: Any, more: str = "") -> str:
    """Return the settings of a webhook."""
    return f'[notify.hook]\nkind = "webhook"\nurl = "{endpoint.url}/hook"\nsecret = "s3"\n{more}'


def die(*_: object, **__: object) -> None:
    """End as a process does that is killed."""
    raise KeyboardInterrupt


def wait(project: Project, order: str = "A1", amount: int = 200) -> ApprovalId:
    """Let a refund wait, and return its approval."""
    refund = project.__dict__["refund"]
    with project.acting("user:ada", agent="crew"), pytest.raises(CallPending):
        refund(order, amount)
    return project.wiring.ledger.approvals(CallState.PENDING)[-1].id


def test_an_approval_is_told_once_and_signed(desk: Desk, endpoint: Any, clock: Any) -> None:
    """A webhook gets one signed notice for an approval, however often the worker looks."""
    project = desk(hook(endpoint))
    approval = wait(project)
    for _ in range(3):
        notify_once(project)
        clock.move(hours=1)
    (got,) = endpoint.got
    clock.move(hours=-3)
    assert Receiver(["s3"], clock).accept(got.headers, got.body) == got.json["id"]
    assert got.json["about"] == approval
    assert got.json["link"] == f"https://staid.example.com/approvals/{approval}"


def test_no_argument_leaves_unless_the_channel_is_set_to_it(desk: Desk, endpoint: Any) -> None:
    """By default a notice names tool and rule; with `details` also what was asked for."""
    bare = hook(endpoint)
    full = f'[notify.full]\nkind = "webhook"\nurl = "{endpoint.url}/full"\nsecret = "s3"\n'
    project = desk(f"{bare}{full}details = true\n")
    wait(project, "ORDER-77")
    notify_once(project)
    told = {got.path: got.body.decode() for got in endpoint.got}
    assert "ORDER-77" not in told["/hook"]
    assert "ORDER-77" in told["/full"]


def test_a_receiver_that_is_away_gets_everything_when_it_is_back(
    desk: Desk, endpoint: Any, clock: Any
) -> None:
    """Refused, it is tried again later and later under the same id, as long as it asks to wait."""
    project = desk(hook(endpoint))
    endpoint.answers = [(503, b"", {}), (429, b"", {"Retry-After": "7200"}), (500, b"", {})]
    wait(project)
    first = notify_once(project)
    assert first.failed[0][1].endswith("answered 503")
    assert notify_once(project).failed == ()  # not due yet
    clock.move(seconds=16)
    notify_once(project)
    clock.move(hours=1)
    assert notify_once(project).failed == ()
    clock.move(hours=1, seconds=1)
    notify_once(project)
    clock.move(hours=2)
    assert len(notify_once(project).sent) == 1
    assert len({got.json["id"] for got in endpoint.got}) == 1
    assert len(endpoint.got) == 4


def test_after_days_it_is_given_up_and_listed(desk: Desk, clock: Any) -> None:
    """A receiver that is gone is not tried for ever, and what it missed is in the list."""
    gone = '[notify.gone]\nkind = "webhook"\nurl = "http://127.0.0.1:9/x"\nsecret = "s"\n'
    project = desk(gone)
    wait(project)
    for _ in range(100):
        notify_once(project)
        clock.move(hours=1)
    (given_up,) = notices_of(project).all(state="given_up")
    assert given_up.attempts > 20
    assert "(the address)" in str(given_up.error) or "Connect" in str(given_up.error)


def test_what_was_decided_meanwhile_is_not_told(desk: Desk, endpoint: Any, clock: Any) -> None:
    """A notice that comes too late is dropped."""
    project = desk(hook(endpoint))
    endpoint.answers = [(500, b"", {})]
    approval = wait(project)
    notify_once(project)
    record_decision(project, approval, "deny", approver="user:lead")
    clock.move(hours=1)
    notify_once(project)
    assert len(endpoint.got) == 1
    assert [n.state for n in notices_of(project).all()] == ["moot"]


def test_a_crash_between_sending_and_recording_repeats_the_same_id(
    desk: Desk, endpoint: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies after it sent leaves the notice to another, under the same id."""
    project = desk(hook(endpoint))
    wait(project)
    with monkeypatch.context() as patched:
        patched.setattr("staid.store.notices.SqlNotices.end", die)
        with pytest.raises(KeyboardInterrupt):
            notify_once(project)
    assert notify_once(project).sent == ()  # still claimed by the dead one
    clock.move(minutes=3)
    assert len(notify_once(project).sent) == 1
    assert len({got.json["id"] for got in endpoint.got}) == 1


def test_an_escalation_is_told_to_those_who_may_decide_now(
    desk: Desk, endpoint: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, naming them, by the worker; again under the same id where it died while it told."""
    night = f'[notify.night]\nkind = "webhook"\nurl = "{endpoint.url}/night"\nsecret = "s3"\n'
    project = desk(f'{night}for = ["escalated"]\n')
    bounds: dict[str, Any] = {"effect": "write", "requires_approval": True}
    bounds |= {"escalate_after": "4h", "escalate_to": ["user:cfo"], "approvers": ["user:lead"]}

    @project.guard("cash.pay", **bounds)
    def pay(order_id: str) -> str:
        """Pay in cash."""
        return order_id

    with project.acting("user:ada", agent="crew"), pytest.raises(CallPending):
        pay("A1")
    (approval,) = project.wiring.ledger.approvals(CallState.PENDING)
    asyncio.run(work_once(project))
    assert endpoint.got == []
    clock.move(hours=5)
    project.wiring.ledger.sweep()
    with monkeypatch.context() as patched:
        patched.setattr("staid.store.notices.SqlNotices.end", die)
        with pytest.raises(KeyboardInterrupt):
            notify_once(project)
    clock.move(minutes=3)
    for _ in range(3):
        asyncio.run(work_once(project))
        clock.move(hours=1)
    first, second = endpoint.got
    assert first.json["id"] == second.json["id"]
    told = second.json
    assert (told["kind"], told["about"]) == ("escalated", approval.id)
    assert told["lines"][0] == "Nobody decided it in time: user:cfo may now, too."
    assert told["link"] == f"https://staid.example.com/approvals/{approval.id}"
    assert [n.state for n in notices_of(project).all()] == ["sent"]
    assert project.wiring.ledger.approval(approval.id).state is CallState.PENDING


def test_a_call_in_doubt_asks_whether_it_happened(desk: Desk, endpoint: Any) -> None:
    """What nobody knows is told with the key to look for."""
    project = desk(hook(endpoint))
    with project.acting("user:ada", agent="crew"), pytest.raises(CallInDoubt):
        project.__dict__["refund"]("lost", 5)
    notify_once(project)
    told = endpoint.got[0].json
    assert told["title"] == "Did refund.issue happen?"
    assert any(line.startswith("key grd_") for line in told["lines"])


def test_a_hand_off_is_told_where_the_channel_is_for_it(desk: Desk, endpoint: Any) -> None:
    """A question that was handed over reaches the teammates' channel, its words only by details."""
    project = desk(hook(endpoint, 'for = ["handoff"]\ndetails = true\n'))
    outcome = project.agent_named("support").ask_sync("Do whales sing?", asker="user:ada")
    notify_once(project)
    assert endpoint.got[0].json["about"] == outcome.handoff
    assert "Do whales sing?" in endpoint.got[0].json["lines"]


def test_slack_gets_blocks_that_cannot_decide(desk: Desk, endpoint: Any, clock: Any) -> None:
    """An incoming webhook and a bot get the message as Slack documents it; the endpoint is a FAKE.

    Slack's own servers were not contacted: the loopback endpoint answers with their wire format.
    """
    url = f'[notify.inc]\nkind = "slack"\nurl = "{endpoint.url}/services/T/B/x"\ndetails = true\n'
    project = desk(url)
    endpoint.answers = [(200, b"no_service", {})]
    wait(project, "<!channel> & <https://evil|click>")
    assert "no_service" in notify_once(project).failed[0][1]
    clock.move(minutes=5)
    assert len(notify_once(project).sent) == 1
    said = endpoint.got[-1].json
    assert said["text"] == "refund.issue waits for your decision (desk)"
    kinds = [block["type"] for block in said["blocks"]]
    assert kinds == ["header", "section", "actions", "context"]
    section = said["blocks"][1]["text"]["text"]
    assert "&lt;!channel&gt; &amp; &lt;https" in section
    (button,) = said["blocks"][2]["elements"]
    assert button.keys() >= {"url"}
    assert "value" not in button


def test_a_slack_bot_posts_and_its_errors_are_told(
    desk: Desk, endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With token and channel `chat.postMessage` is used; `ok: false` is a failure."""
    from staid.adapters.notify import slack

    monkeypatch.setattr(slack.Slack.__init__, "__defaults__", (None, None, None, endpoint.url))
    project = desk('[notify.bot]\nkind = "slack"\ntoken = "xoxb-1"\nchannel = "C1"\n')
    endpoint.answers = [(200, b'{"ok": false, "error": "not_in_channel"}', {})]
    with pytest.raises(NotDelivered, match="not_in_channel"):
        send_test(project, "bot")
    endpoint.answers = [(200, b'{"ok": true, "ts": "171.5"}', {})]
    assert send_test(project, "bot") == "171.5"
    got = endpoint.got[-1]
    assert (got.path, got.headers["Authorization"]) == ("/chat.postMessage", "Bearer xoxb-1")
    assert got.json["channel"] == "C1"


def test_mail_is_handed_to_a_real_server(desk: Desk, mailbox: Any, clock: Any) -> None:
    """A message reaches every recipient, and nothing that a call says becomes a header."""
    box, server = mailbox
    to = 'sender = "staid@example.com"\nto = ["lead@example.com", "cfo@example.com"]\n'
    project = desk(f'[notify.mail]\nkind = "email"\nserver = "{server}"\n{to}details = true\n')
    box.answers = ["451 later"]
    wait(project, "A1\r\nBcc: eve@example.com")
    assert "451" in notify_once(project).failed[0][1]
    clock.move(minutes=1)
    notify_once(project)
    clock.move(hours=1)
    notify_once(project)
    assert [n.state for n in notices_of(project).all()] == ["sent"]
    (first,) = box.letters
    assert email.message_from_bytes(first.content, policy=default)["Bcc"] is None
    box.letters.clear()
    send_test(project, "mail")
    (envelope,) = box.letters
    said = email.message_from_bytes(envelope.content, policy=default)
    assert envelope.rcpt_tos == ["lead@example.com", "cfo@example.com"]
    assert said["Bcc"] is None
    assert said["Message-ID"].startswith("<not_")
    assert said["Subject"] == "[desk] This is a test of a Staid channel"


def test_a_password_is_never_sent_without_encryption(desk: Desk, mailbox: Any) -> None:
    """A server without STARTTLS gets no password, and no error repeats it."""
    server = mailbox[1].replace("smtp://", "smtp://user:hunter2@")
    to = 'sender = "staid@example.com"\nto = ["lead@example.com"]\n'
    project = desk(f'[notify.mail]\nkind = "email"\nserver = "{server}"\n{to}')
    with pytest.raises(NotDelivered, match="no encryption") as caught:
        send_test(project, "mail")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_link_decides_nothing(desk: Desk, endpoint: Any, method: str) -> None:
    """Whoever has the link and no session sees nothing and decides nothing."""
    project = desk(hook(endpoint))
    approval = wait(project)
    notify_once(project)
    path = endpoint.got[0].json["link"].removeprefix("https://staid.example.com")
    client = TestClient(create_app(project), base_url="http://localhost")
    said: Any
    if method == "get":
        said = client.get(path)
    else:
        digest = project.wiring.ledger.approvals(CallState.PENDING)[0].digest
        form = {"decision": "approve", "seen": digest}
        said = client.post(path, data=form, headers={"Origin": "http://localhost"})
    assert said.status_code in {401, 403}
    assert "refund.issue" not in said.text
    assert project.wiring.ledger.approval(approval).state is CallState.PENDING


def test_settings_that_cannot_work_are_refused(desk: Desk) -> None:
    """A channel without what its kind needs is an error that names it, not a silent channel."""
    for broken in ('kind = "webhook"\nurl = "http://x"', 'kind = "email"', 'kind = "pager"'):
        with pytest.raises(SettingsInvalid):
            desk(f"[notify.x]\n{broken}\n")
    with pytest.raises(ChannelNotFound):
        send_test(desk(""), "nobody")


def test_the_worker_tells_and_the_list_shows(desk: Desk, endpoint: Any, capsys: Any) -> None:
    """`staid worker --once` tells what waits; `staid notify list` shows channels and notices."""
    from staid import cli

    project = desk(hook(endpoint))
    approval = wait(project)
    folder = str(project.settings.directory_path)
    assert cli.run(["worker", "--once", "--json", "--project", folder]) == 0
    assert len(json.loads(capsys.readouterr().out)["notified"]["sent"]) == 1
    assert cli.run(["notify", "list", "--json", "--project", folder]) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["channels"][0]["channel"] == "hook"
    assert [(n["about"], n["state"]) for n in body["notices"]] == [(approval, "sent")]


def test_an_undo_in_doubt_is_told_with_the_page_where_it_is_settled(
    desk: Desk, endpoint: Any, clock: Any
) -> None:
    """Who took it back, the key to look for, and a link; settled meanwhile it is not told."""
    project = desk(hook(endpoint))

    @project.guard("cash.pay", effect="write", approvers=["user:lead"], undo=lost)
    def pay(order_id: str) -> str:
        """Pay in cash."""
        return order_id

    for order in ("A1", "A2"):
        with project.acting("user:ada", agent="crew") as run:
            pay(order)
        (record,) = project.calls(run)
        undone = asyncio.run(take_back(project, record.call.id, "user:lead", None, reason=""))
        assert undone.state is UndoState.IN_DOUBT
        notify_once(project)
        endpoint.answers = [(503, b"", {})]
    asyncio.run(settle_doubt(project, record.call.id, "user:lead", None, happened=True))
    clock.move(minutes=1)
    notify_once(project)
    first, refused = endpoint.got
    assert refused.json["about"] == record.call.id
    told = first.json
    assert (told["kind"], told["title"]) == ("in_doubt", "Was cash.pay taken back?")
    assert told["lines"][0].startswith("user:lead took back what cash.pay did for user:ada")
    assert told["link"] == f"https://staid.example.com/calls/{told['about']}"
    assert sorted(n.state for n in notices_of(project).all()) == ["moot", "sent"]


def lost(_params: object) -> None:
    """Take back, and lose the answer."""
    raise OSError
