"""From an erasure to the receivers: asked, again after a failure, recorded, no word left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staid.project.privacy import compact, erase_subject
from staid.testing.otlp_server import OtlpServer
from staid.tracing.spans import trace_id

WORDS = "Wilhelmina Zuckerkandl"
Make = Callable[..., Any]


def deletions(server: OtlpServer) -> list[str]:
    """Return the paths of the requests to delete, in order of arrival."""
    return [one.path for one in server.asked if one.method == "DELETE"]


def forgets(exporting: Any) -> list[Any]:
    """Return the requests to forget, as the outbox has them."""
    return exporting.project.wiring.outbox.rows(kind="forget")


def test_a_receiver_is_asked_to_forget_until_it_did(exporting: Make, server: OtlpServer) -> None:
    """Erased, asked, refused, tried again when it is due, taken: each step is in the receipts."""
    here = exporting(("there", "phoenix", 'content = "full"'))
    [run] = here.ask(f"Does {WORDS} get a refund?")
    here.export()
    assert WORDS in str(server.spans)
    assert erase_subject(here.project, "user:ada", "request 4711").asked == 1
    path = f"/v1/traces/{trace_id(run)}"
    server.answers["DELETE", path] = (503, {"detail": "busy"})
    assert "ST-546" in here.export()[0].error
    [row] = forgets(here)
    assert (row.run, row.state, row.attempts) == (run, "waiting", 1)
    assert "503" in row.error
    here.export()
    assert deletions(server) == [path]  # it is left alone until the next attempt is due
    here.clock.at = row.next_at
    server.answers["DELETE", path] = (200, None)
    assert here.export()[0].sent == 1
    assert deletions(server) == [path, path]
    [row] = forgets(here)
    assert (row.state, row.attempts, row.error) == ("sent", 2, None)
    assert row.sent_at == here.clock.at
    here.clock.wait(days=1)
    here.export()
    assert deletions(server) == [path, path]


def test_nothing_of_an_erased_run_is_sent_any_more(exporting: Make, server: OtlpServer) -> None:
    """Neither what waited, nor a retry, nor a later score reaches a sink that was to forget it."""
    here = exporting(("there", "phoenix", 'content = "full"'))
    server.judge = lambda _: 400
    first = here.ask(f"Does {WORDS} get a refund?")
    here.export()
    second = here.ask(f"And {WORDS} again?")
    erase_subject(here.project, "user:ada", "request 4711")
    server.judge = lambda _: 200
    server.exports.clear()
    for run in (*first, *second):
        server.answers["DELETE", f"/v1/traces/{trace_id(run)}"] = (200, None)
    here.project.wiring.outbox.retry("there", ["waiting", "rejected", "skipped"])
    here.export()
    assert server.exports == []
    assert len(deletions(server)) == 2
    assert [row.state for row in forgets(here)] == ["sent", "sent"]


def test_no_word_of_a_refusal_stays_in_the_file(
    exporting: Make, server: OtlpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver's refusal quotes the question; after the erasure no byte of it is in the store."""
    take = OtlpServer.take

    def quoting(self: OtlpServer, *given: Any) -> tuple[int, bytes]:
        take(self, *given)
        return 400, f"cannot take {WORDS}".encode()

    monkeypatch.setattr(OtlpServer, "take", quoting)
    here = exporting(("there", "otlp", 'content = "full"'))
    here.ask(f"Does {WORDS} get a refund?")
    here.export()
    [row] = here.project.wiring.outbox.rows()
    assert WORDS in row.error
    assert WORDS in str(row.receipt)
    store = Path(here.project.wiring.run_store.path)
    assert WORDS.encode() in bytes_of(store)
    erase_subject(here.project, "user:ada", "request 4711")
    assert compact(here.project)[0] is True
    assert WORDS.encode() not in bytes_of(store)
    assert here.states("there") == ["rejected", "waiting"]


def bytes_of(store: Path) -> bytes:
    """Return every byte that the store has on the disk."""
    return b"".join(path.read_bytes() for path in sorted(store.parent.glob(f"{store.name}*")))
