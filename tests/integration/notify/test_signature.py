"""A receiver takes each genuine delivery once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staid.adapters.notify.signature import DELIVERY, SIGNATURE, TIMESTAMP, Receiver, signed
from staid.domain.errors.notify import WebhookRefused
from staid.testing.kill import START, StepClock

NOW = int(START.timestamp())
BODY = b'{"title": "refund.issue waits"}'


def test_a_genuine_delivery_is_taken_once() -> None:
    """The same delivery again is a replay, with whatever spelling of its headers."""
    receiver = Receiver(["s"], StepClock())
    headers = signed("s", BODY, NOW, "not_1")
    assert receiver.accept(headers, BODY) == "not_1"
    with pytest.raises(WebhookRefused, match="accepted before"):
        receiver.accept({name.lower(): value for name, value in headers.items()}, BODY)


@pytest.mark.parametrize("minutes", [-6, 6, 600])
def test_an_old_delivery_is_refused_by_a_receiver_that_forgot_it(minutes: int) -> None:
    """Replayed at another instance, later (or with a clock that jumped), it fails by its time."""
    clock = StepClock()
    clock.move(timedelta(minutes=minutes))
    with pytest.raises(WebhookRefused, match="too old"):
        Receiver(["s"], clock).accept(signed("s", BODY, NOW, "not_1"), BODY)


def test_a_secret_can_be_replaced() -> None:
    """While one secret replaces the other both are taken, and no third."""
    receiver = Receiver(["old", "new"], StepClock())
    assert receiver.accept(signed("new", BODY, NOW, "not_1"), BODY) == "not_1"
    assert receiver.accept(signed("old", BODY, NOW, "not_2"), BODY) == "not_2"
    with pytest.raises(WebhookRefused, match="does not fit"):
        receiver.accept(signed("other", BODY, NOW, "not_3"), BODY)
    with pytest.raises(ValueError, match="secret"):
        Receiver([""], StepClock())


@given(
    field=st.sampled_from([DELIVERY, TIMESTAMP, SIGNATURE, "body"]),
    change=st.text(max_size=20),
)
def test_anything_changed_on_the_way_is_refused(field: str, change: str) -> None:
    """A delivery whose id, time, signature or body is another one is not taken."""
    headers, body = signed("s", BODY, NOW, "not_1"), BODY
    if field == "body":
        body = change.encode("utf-8", "replace")
    elif headers[field] != change:
        headers[field] = change
    else:
        return
    with pytest.raises(WebhookRefused):
        Receiver(["s"], StepClock()).accept(headers, body)
