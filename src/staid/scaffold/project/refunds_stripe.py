"""Refunds through Stripe, used when `STRIPE_API_KEY` is set. It keeps nothing: Stripe is the book.

A payment is found by the `order_id` in its metadata. Amounts are integer cents towards Stripe.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

import stripe

import staid

CURRENCY = "eur"
LOOK_BACK = timedelta(days=365)
GONE = frozenset({"failed", "canceled"})


@dataclass(frozen=True)
class Paid:
    """What Stripe says of an order's payment now."""

    charge: str
    cents: int
    refunded: int

    @property
    def left(self) -> int:
        """What can still be refunded, in cents."""
        return self.cents - self.refunded


@dataclass(frozen=True)
class StripeRefunds:
    """Refunds of one Stripe account; a client is made for each piece of work, for threads."""

    key: str = field(repr=False)
    base: str | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Return the account of `STRIPE_API_KEY`; `STRIPE_API_BASE` names a test server."""
        return cls(environment["STRIPE_API_KEY"], environment.get("STRIPE_API_BASE"))

    def issue(self, order: str, amount: Decimal, call: staid.Call) -> dict[str, Any]:
        """Refund once per key; `staid.NotDone` where Stripe surely did nothing."""
        with self._opened() as client:
            try:
                paid = payment_of(client, order)
                done = refund_by_key(client, paid.charge, call.key)
            except stripe.StripeError as error:
                raise staid.NotDone(f"Stripe cannot be asked: {type(error).__name__}") from error
            if done is None:
                if cents(amount) > paid.left:
                    raise staid.NotDone(f"order {order} has {euros(paid.left)} EUR left to refund")
                done = create(client, paid.charge, order, amount, call)
        if done.status in GONE:
            raise staid.NotDone(f"Stripe says that the refund {done.id} is {done.status}")
        return {"refund": done.id, "key": call.key, "amount": str(euros(done.amount))}

    def happened(self, order: str, call: staid.Call) -> bool | None:
        """Tell whether a refund with this key exists; None when Stripe cannot be asked."""
        with self._opened() as client:
            try:
                done = refund_by_key(client, payment_of(client, order).charge, call.key)
            except (stripe.StripeError, staid.NotDone):
                return None
        return done is not None and done.status not in GONE

    def preview(self, order: str, amount: Decimal) -> str:
        """Say what was paid, what was refunded already, and what would be."""
        with self._opened() as client:
            paid = payment_of(client, order)
        return (
            f"Order {order}: {euros(paid.cents)} EUR paid, {euros(paid.refunded)} EUR refunded "
            f"already; this would refund {amount:.2f} EUR of the {euros(paid.left)} EUR left."
        )

    def balance(self, order: str) -> str:
        """Return what an approval rests on: the payment, and what is left of it."""
        with self._opened() as client:
            paid = payment_of(client, order)
        return f"{paid.charge}: {euros(paid.left)} EUR left"

    @contextmanager
    def _opened(self) -> Generator[stripe.StripeClient]:
        with closing(stripe.RequestsClient(timeout=8)) as http:
            yield stripe.StripeClient(
                self.key,
                base_addresses={"api": self.base} if self.base else {},
                http_client=http,
                max_network_retries=0,  # a lost answer is a doubt, which `happened` settles
            )


def payment_of(client: stripe.StripeClient, order: str) -> Paid:
    """Return the one payment of an order; `staid.NotDone` where there is none, or several.

    It reads the payments of a year, 100 at a time. With many, ask your own table of orders.
    """
    since = int((datetime.now(UTC) - LOOK_BACK).timestamp())
    page = client.v1.charges.list({"created": {"gt": since}, "limit": 100})
    found = [
        charge.to_dict()
        for charge in page.auto_paging_iter()
        if charge.metadata.to_dict().get("order_id") == order and charge.status == "succeeded"
    ]
    if len(found) != 1:
        raise staid.NotDone(f"order {order} has {len(found) or 'no'} payments at Stripe")
    (charge,) = found
    if charge["currency"] != CURRENCY:
        raise staid.NotDone(f"order {order} was not paid in EUR")
    captured = charge.get("amount_captured", charge["amount"])  # less where it was taken in part
    return Paid(charge["id"], captured, charge["amount_refunded"])


def refund_by_key(client: stripe.StripeClient, charge: str, key: str) -> stripe.Refund | None:
    """Return the refund of this payment that our key stands on."""
    page = client.v1.refunds.list({"charge": charge, "limit": 100})
    for refund in page.auto_paging_iter():
        if refund.metadata and refund.metadata.to_dict().get("staid_key") == key:
            return refund
    return None


def create(
    client: stripe.StripeClient, charge: str, order: str, amount: Decimal, call: staid.Call
) -> stripe.Refund:
    """Write the refund; only a refusal of Stripe itself is `staid.NotDone`."""
    try:
        return client.v1.refunds.create(
            {
                "charge": charge,
                "amount": cents(amount),
                "metadata": {"staid_key": call.key, "order_id": order},
            },
            {"idempotency_key": call.key},
        )
    except (stripe.InvalidRequestError, stripe.AuthenticationError) as error:
        raise staid.NotDone(f"Stripe refused: {error.user_message or error.code}") from error


def cents(amount: Decimal) -> int:
    """Return an amount in cents; an amount that has none exactly is refused."""
    exact = amount * 100
    if exact != exact.to_integral_value():
        raise staid.NotDone(f"{amount} EUR is no whole number of cents")
    return int(exact)


def euros(amount: int) -> Decimal:
    """Return cents as an amount with two decimals."""
    return Decimal(amount).scaleb(-2)
