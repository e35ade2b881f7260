"""The support agent of Ryeline: two tools with their bounds. `staid.toml` names `project`.

Both tools work without any service: they append to a file beside this one. Put your payment
provider and your calendar in their place, and hand `call.key` on as the idempotency key.
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


class Refund(BaseModel):
    """Money back to a customer."""

    order_id: str = Field(pattern=r"^[A-Z]-\d{4,8}$", description="As on the receipt: R-1001")
    amount: Decimal = Field(gt=0, le=500, decimal_places=2, description="In EUR")


def needs_a_human(refund: Refund) -> bool:
    """Ask the support lead above 100 EUR."""
    return refund.amount > ASK_ABOVE


def was_refunded(_: Refund, call: staid.Call) -> bool:
    """Tell whether a refund happened whose answer was lost, for calls that are in doubt."""
    with opened(HERE / "refunds.jsonl") as book:
        return any(row["key"] == call.key for row in rows(book))


@project.tool(
    "refund.issue",
    effect="write",
    result="Refunded {amount} EUR for order {order_id}.",
    requires_approval=needs_a_human,
    budget=staid.Budget(sum_of="amount", per="customer", window="1d", limit=500),
    reconcile=was_refunded,
)
def issue_refund(refund: Refund, call: staid.Call) -> dict[str, Any]:
    """Refund an order, at most 500 EUR; above 100 EUR a person decides."""
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


def was_booked(_: Booking, call: staid.Call) -> bool:
    """Tell whether a booking happened whose answer was lost."""
    with opened(HERE / "calendar.jsonl") as book:
        return any(row["key"] == call.key for row in rows(book))


@project.tool(
    "calendar.book",
    effect="write",
    result="Booked the {calendar} calendar for {when}.",
    budget=staid.Budget(per="customer", window="7d", limit=2),
    reconcile=was_booked,
)
def book_call(booking: Booking, call: staid.Call) -> dict[str, Any]:
    """Book a call on the onboarding or the training calendar, never over another one."""
    start = booking.start.astimezone(UTC)
    row = {
        "key": call.key,
        "calendar": booking.calendar,
        "when": f"{start:%Y-%m-%d %H:%M} UTC, {booking.minutes} minutes",
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=booking.minutes)).isoformat(),
        "customer": call.principal,
    }
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
    """Return what is written."""
    book.seek(0)
    return [json.loads(line) for line in book]


def append(book: IO[str], row: dict[str, Any]) -> dict[str, Any]:
    """Write a row so that it survives a power cut before anybody is told of it."""
    book.write(json.dumps(row) + "\n")
    book.flush()
    os.fsync(book.fileno())
    return row
