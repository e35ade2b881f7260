"""The tools of the shop and the airline as tools of a project, with the records rules look into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, create_model

from staid.gates.rules import Policy
from staid.gates.tool import Tool, define
from staid.project.policy_file import read_policy
from tau2_world import Row, Unknown, World

Cabin = Literal["basic_economy", "economy", "business"]
HERE = Path(__file__).parent


class Flight(BaseModel):
    """A flight on a day."""

    flight_number: str
    date: str


class Passenger(BaseModel):
    """Who flies."""

    first_name: str
    last_name: str
    dob: str


class Payment(BaseModel):
    """A part of what is paid."""

    payment_id: str
    amount: float


class Booking(BaseModel):
    """A new reservation."""

    user_id: str
    origin: str
    destination: str
    flight_type: Literal["one_way", "round_trip"]
    cabin: Cabin
    flights: list[Flight]
    passengers: list[Passenger]
    payment_methods: list[Payment]
    total_baggages: int
    nonfree_baggages: int
    insurance: Literal["yes", "no"]


class FlightChange(BaseModel):
    """Other flights, or another cabin, for a reservation."""

    reservation_id: str
    cabin: Cabin
    flights: list[Flight]
    payment_id: str


class BagChange(BaseModel):
    """Other bags for a reservation."""

    reservation_id: str
    total_baggages: int
    nonfree_baggages: int
    payment_id: str


class PassengerChange(BaseModel):
    """Other passengers for a reservation."""

    reservation_id: str
    passengers: list[Passenger]


class Certificate(BaseModel):
    """A travel certificate."""

    user_id: str
    amount: int


class Cancellation(BaseModel):
    """An order that is to be cancelled."""

    order_id: str
    reason: str


class ItemChange(BaseModel):
    """Items of an order that are to become others."""

    order_id: str
    item_ids: list[str]
    new_item_ids: list[str]
    payment_method_id: str


class Return(BaseModel):
    """Items of an order that are to go back."""

    order_id: str
    item_ids: list[str]
    payment_method_id: str


def _texts(name: str, *fields: str) -> type[BaseModel]:
    shape: dict[str, Any] = dict.fromkeys(fields, (str, ...))
    return create_model(name, **shape)


ADDRESS = ("address1", "address2", "city", "state", "country", "zip")
Found = Callable[[World, Any], object]


@dataclass(frozen=True)
class Shape:
    """A tool before it has a world: its arguments, and what its look-ups find there."""

    params: type[BaseModel]
    finds: Mapping[str, Found]
    write: bool = True


def _of_user(world: World, given: Any) -> Row:
    return world.customer(given.user_id)


# --- the shop --------------------------------------------------------------------------------


def _order(world: World, given: Any) -> Row:
    return world.get("orders", given.order_id)


def _of_order(world: World, given: Any) -> Row:
    return world.customer(_order(world, given)["user_id"])


def _changes(world: World, given: ItemChange) -> list[Row]:
    """Return each item with the one it is to become: the language has no pairs of two lists."""
    held = {item["item_id"]: item for item in _order(world, given)["items"]}
    pairs = zip(given.item_ids, given.new_item_ids, strict=False)
    return [
        {"old": held.get(old) or world.variant(old), "new": world.variant(new)}
        for old, new in pairs
    ]


_ORDER: Mapping[str, Found] = {"customer": _of_order, "order": _order}
_ITEMS: Mapping[str, Found] = {**_ORDER, "changes": _changes}
_ITEM_CHANGE = Shape(ItemChange, _ITEMS)
RETAIL: Mapping[str, Shape] = {
    "cancel_pending_order": Shape(Cancellation, _ORDER),
    "modify_pending_order_address": Shape(_texts("OrderAddress", "order_id", *ADDRESS), _ORDER),
    "modify_pending_order_payment": Shape(
        _texts("OrderPayment", "order_id", "payment_method_id"), _ORDER
    ),
    "modify_pending_order_items": _ITEM_CHANGE,
    "exchange_delivered_order_items": _ITEM_CHANGE,
    "return_delivered_order_items": Shape(Return, _ORDER),
    "modify_user_address": Shape(_texts("Address", "user_id", *ADDRESS), {"customer": _of_user}),
    "get_user_details": Shape(_texts("User", "user_id"), {"customer": _of_user}, write=False),
    "get_order_details": Shape(_texts("Order", "order_id"), _ORDER, write=False),
}

# --- the airline -----------------------------------------------------------------------------


def _reservation(world: World, given: Any) -> Row:
    return world.get("reservations", given.reservation_id)


def _of_reservation(world: World, given: Any) -> Row:
    return world.customer(_reservation(world, given)["user_id"])


def _flights(world: World, given: Any) -> list[Row]:
    return world.flown(_reservation(world, given))


def _new_flights(world: World, given: Any) -> list[Row]:
    return [world.flight(f.flight_number, f.date) for f in given.flights]


def _reservations(world: World, given: Any) -> list[Row]:
    found = [world.get("reservations", r) for r in _of_user(world, given)["reservations"]]
    return [{**r, "flights": world.flown(r), "touched": r.get("touched", False)} for r in found]


_RESERVATION: Mapping[str, Found] = {"customer": _of_reservation, "reservation": _reservation}
_STANDING: Mapping[str, Found] = {**_RESERVATION, "flights": _flights}
AIRLINE: Mapping[str, Shape] = {
    "book_reservation": Shape(Booking, {"customer": _of_user, "new_flights": _new_flights}),
    "update_reservation_flights": Shape(FlightChange, {**_STANDING, "new_flights": _new_flights}),
    "update_reservation_baggages": Shape(BagChange, _RESERVATION),
    "update_reservation_passengers": Shape(PassengerChange, _RESERVATION),
    "cancel_reservation": Shape(_texts("Reservation", "reservation_id"), _STANDING),
    "send_certificate": Shape(Certificate, {"customer": _of_user, "reservations": _reservations}),
    # These have no rule, and are there so that recorded conversations can be ruled on whole.
    "get_user_details": Shape(_texts("User", "user_id"), {}, write=False),
    "get_reservation_details": Shape(_texts("Seen", "reservation_id"), {}, write=False),
    "search_direct_flight": Shape(
        _texts("Direct", "origin", "destination", "date"), {}, write=False
    ),
    "search_onestop_flight": Shape(
        _texts("OneStop", "origin", "destination", "date"), {}, write=False
    ),
    "list_all_airports": Shape(_texts("Nothing"), {}, write=False),
    "calculate": Shape(_texts("Sum", "expression"), {}, write=False),
    "think": Shape(_texts("Thought", "thought"), {}, write=False),
    "transfer_to_human_agents": Shape(_texts("Summary", "summary"), {}, write=False),
}
SHAPES = {"retail": RETAIL, "airline": AIRLINE}
WRITES = {
    domain: frozenset(name for name, shape in shapes.items() if shape.write)
    for domain, shapes in SHAPES.items()
}


class Domain:
    """The tools of one domain, the policy over them, and the world they look into."""

    def __init__(self, name: str, world: World) -> None:
        """Read the policy; raise `PolicyInvalid` for a mistake in it."""
        self.name = name
        self.world = world
        self.tools = {tool: self._tool(tool, shape) for tool, shape in SHAPES[name].items()}
        self.policy: Policy = read_policy(HERE / "tau2" / f"{name}.yaml", self.tools).required()

    def _tool(self, name: str, shape: Shape) -> Tool:
        def unused(_: Any) -> None:
            """Stand in for a handler: nothing is carried out."""

        def look(find: Found) -> Callable[[Any], object]:
            return lambda given: find(self.world, given)

        return define(
            unused,
            name,
            params=shape.params,
            effect="write" if shape.write else "read",
            requires_approval=False,
            structuring=False,
            lookups={record: look(find) for record, find in shape.finds.items()},
        )

    def records(self, tool: str, params: BaseModel) -> dict[str, Any]:
        """Return the records that rules about a call look into; those nobody has are left out."""
        found: dict[str, Any] = {}
        known = self.tools[tool]
        for name in sorted(self.policy.about(known).records & known.lookups.keys()):
            try:
                found[name] = known.lookups[name](params)
            except Unknown:
                continue
        return found
