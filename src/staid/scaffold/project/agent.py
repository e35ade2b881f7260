"""The support agent of Ryeline: two tools with their bounds. `staid.toml` names `project`.

With `STRIPE_API_KEY` set, refunds go through Stripe; with `CALDAV_URL`, calls are booked there.
Without them both work without any service, on paper: they append to a file beside this one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

import staid

HERE = Path(__file__).parent
ASK_ABOVE = Decimal(100)

project = staid.Project()

payments = calendars = None
if os.environ.get("STRIPE_API_KEY"):
    from refunds_stripe import StripeRefunds

    payments = StripeRefunds.of(os.environ)
if os.environ.get("CALDAV_URL"):
    from calendar_caldav import CalDavCalendars

    calendars = CalDavCalendars.of(os.environ)


class Refund(BaseModel):
    """Money back to a customer."""

    order_id: str = Field(pattern=r"^[A-Z]-\d{4,8}$", description="As on the receipt: R-1001")
    amount: Decimal = Field(gt=0, le=500, decimal_places=2, description="In EUR")


def needs_a_human(refund: Refund) -> bool:
    """Ask the support lead above 100 EUR."""
    return refund.amount > ASK_ABOVE


def preview_refund(refund: Refund) -> str:
    """Say to the approver what was paid, what was refunded already, and what would be."""
    if payments:
        return payments.preview(refund.order_id, refund.amount)
    return f"{refund.amount:.2f} EUR for order {refund.order_id}, on paper: no Stripe key is set."


def balance(refund: Refund) -> str:
    """Say what an approval rests on: is it another when the refund would run, a person looks again.

    Only what matters for the decision belongs here; a time or a visitor count would always differ.
    """
    if payments:
        return payments.balance(refund.order_id)
    with opened(HERE / "refunds.jsonl") as book:
        before = [row for row in rows(book) if row["order_id"] == refund.order_id]
    return f"{sum(Decimal(row['amount']) for row in before):.2f} EUR refunded already, on paper"


def was_refunded(refund: Refund, call: staid.Call) -> bool | None:
    """Tell whether a refund happened whose answer was lost; None: nobody can tell now."""
    if payments:
        return payments.happened(refund.order_id, call)
    with opened(HERE / "refunds.jsonl") as book:
        return any(row["key"] == call.key for row in rows(book))


@project.tool(
    "refund.issue",
    effect="write",
    result="Refunded {amount} EUR for order {order_id}.",
    requires_approval=needs_a_human,
    budget=staid.Budget(sum_of="amount", per="customer", window="1d", limit=500),
    preview=preview_refund,
    fingerprint=balance,
    reconcile=was_refunded,  # no undo: money that left does not come back by asking
    breaker=staid.Breaker(failures=5, window="10m", rest="5m"),
)
def issue_refund(refund: Refund, call: staid.Call) -> dict[str, Any]:
    """Refund an order, at most 500 EUR; above 100 EUR a person decides."""
    if payments:
        return payments.issue(refund.order_id, refund.amount, call)
    row = {
        "key": call.key,
        "order_id": refund.order_id,
        "amount": str(refund.amount),
        "customer": call.principal,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with opened(HERE / "refunds.jsonl") as book:
        done = next((old for old in rows(book) if old["key"] == call.key), None)
        return done or append(book, row)


class Booking(BaseModel):
    """A call with a customer."""

    calendar: Literal["onboarding", "training"]
    start: AwareDatetime
    minutes: int = Field(default=60, ge=15, le=60)

    @property
    def slot(self) -> tuple[datetime, datetime]:
        """When it begins and ends, in UTC."""
        start = self.start.astimezone(UTC)
        return start, start + timedelta(minutes=self.minutes)


def was_booked(booking: Booking, call: staid.Call) -> bool | None:
    """Tell whether a booking happened whose answer was lost; None: nobody can tell now."""
    if calendars:
        return calendars.happened(booking.calendar, call)
    with opened(HERE / "calendar.jsonl") as book:
        return any(row["key"] == call.key for row in rows(book))


def unbook_call(booking: Booking, call: staid.Call) -> None:
    """Take a booking back; one that is gone already is fine."""
    if calendars:
        calendars.undo(booking.calendar, call)
        return
    with opened(HERE / "calendar.jsonl") as book:
        if any(row["key"] == call.key for row in rows(book)):
            append(book, {"undone": call.key})


@project.tool(
    "calendar.book",
    effect="write",
    result="Booked the {calendar} calendar for {when}.",
    budget=staid.Budget(per="customer", window="7d", limit=2),
    reconcile=was_booked,
    undo=unbook_call,
    breaker=staid.Breaker(failures=5, window="10m", rest="5m"),
)
def book_call(booking: Booking, call: staid.Call) -> dict[str, Any]:
    """Book a call on the onboarding or the training calendar, never over another one."""
    start, end = booking.slot
    row = {
        "key": call.key,
        "calendar": booking.calendar,
        "when": f"{start:%Y-%m-%d %H:%M} UTC, {booking.minutes} minutes",
        "start": start.isoformat(),
        "end": end.isoformat(),
        "customer": call.principal,
    }
    if calendars:
        calendars.book(booking.calendar, start, end, call)
        return row
    with opened(HERE / "calendar.jsonl") as book:
        taken = [old for old in rows(book) if old["calendar"] == booking.calendar]
        done = next((old for old in taken if old["key"] == call.key), None)
        if done is None and any(overlap(old, row) for old in taken):
            raise staid.NotDone(f"the {booking.calendar} calendar is taken at that time")
        return done or append(book, row)


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two bookings share a moment; one may begin when the other ends."""
    return one["start"] < other["end"] and other["start"] < one["end"]  # all in UTC, so text sorts


@contextmanager
def opened(path: Path) -> Generator[IO[str]]:
    """Open a book for this process alone, so that looking and writing are one step."""
    with path.open("a+", encoding="utf-8", newline="") as book:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(book, fcntl.LOCK_EX)
        book.seek(0)
        text = book.read()
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # a crash cut the last line short: it was never confirmed
            book.truncate(len(whole.encode()))
        yield book


def rows(book: IO[str]) -> list[dict[str, Any]]:
    """Return what is written and was not taken back."""
    book.seek(0)
    written = [json.loads(line) for line in book]
    undone = {row["undone"] for row in written if "undone" in row}
    return [row for row in written if "key" in row and row["key"] not in undone]


def append(book: IO[str], row: dict[str, Any]) -> dict[str, Any]:
    """Write a row so that it survives a power cut before anybody is told of it."""
    book.write(json.dumps(row) + "\n")
    book.flush()
    os.fsync(book.fileno())
    return row
