"""Two written policies, rule by rule: a call that each stops, and one beside it that passes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from tau2_rulings import ruled
from tau2_tools import SHAPES, Domain
from tau2_world import World

ANN, BOB, DAN, EVE = "ann_lee_0001", "bob_ray_0002", "dan_fox_0003", "eve_kay_0004"
METHODS = {
    "card": {"source": "credit_card"},
    "card2": {"source": "credit_card"},
    "gift": {"source": "gift_card", "balance": 20},
    "gift40": {"source": "gift_card", "balance": 40},
    **{f"gift{n}": {"source": "gift_card", "balance": 500} for n in range(1, 5)},
    "cert": {"source": "certificate"},
    "cert2": {"source": "certificate"},
}


def _user(membership: str, *reservations: str) -> dict[str, Any]:
    return {"payment_methods": METHODS, "membership": membership, "reservations": [*reservations]}


def _order(status: str, user: str = ANN) -> dict[str, Any]:
    return {
        "user_id": user,
        "status": status,
        "items": [
            {"item_id": "lamp", "product_id": "L", "price": 30},
            {"item_id": "mug", "product_id": "M", "price": 10},
        ],
        "payment_history": [{"payment_method_id": "card", "amount": 40}],
    }


def _variant(item: str, price: int, *, available: bool = True) -> dict[str, Any]:
    return {"item_id": item, "price": price, "available": available}


def _product(name: str, *variants: dict[str, Any]) -> dict[str, Any]:
    return {"product_id": name, "variants": {one["item_id"]: one for one in variants}}


SHOP = World(
    {
        "users": {ANN: _user("gold"), BOB: _user("gold")},
        "orders": {
            "waiting": _order("pending"),
            "modified": _order("pending (item modified)"),
            "arrived": _order("delivered"),
            "bobs": _order("pending", BOB),
            "bobs_arrived": _order("delivered", BOB),
        },
        "products": {
            "L": _product(
                "L",
                _variant("lamp", 30),
                _variant("lamp2", 45),
                _variant("lamp3", 55),
                _variant("lamp4", 45, available=False),
                _variant("lamp5", 50),
            ),
            "M": _product(
                "M", _variant("mug", 10), _variant("mug2", 10), _variant("mug3", 9, available=False)
            ),
        },
    }
)


def _flight(origin: str, destination: str, **days: str) -> dict[str, Any]:
    dates = {f"2024-05-{day[1:]}": {"status": status} for day, status in days.items()}
    return {"origin": origin, "destination": destination, "dates": dates}


def _reservation(user: str, *flights: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {
        "user_id": user,
        "origin": "OSL",
        "destination": "BGO",
        "flight_type": "one_way",
        "cabin": "economy",
        "flights": [{"flight_number": number, "date": day} for number, day in flights],
        "passengers": [{}, {}],
        "created_at": "2024-05-01T10:00:00",
        "total_baggages": 1,
        "insurance": "no",
        **more,
    }


BACK, ROUND = ("F2", "2024-05-20"), {"flight_type": "round_trip"}
FLOWN, SOON, LATE = ("F1", "2024-05-10"), ("F1", "2024-05-20"), ("F1", "2024-05-21")
AIR = World(
    {
        "users": {
            ANN: _user("silver", "plain", "late", "gone"),
            BOB: _user("regular", "bobs", "bobs_gone"),
            DAN: _user("silver", "dans"),
            EVE: _user("regular", "eves"),
        },
        "flights": {
            "F1": _flight(
                "OSL", "BGO", d10="landed", d20="available", d21="delayed", d22="cancelled"
            ),
            "F2": _flight("BGO", "OSL", d20="available", d21="delayed"),
            "F3": _flight("TRD", "BGO", d20="available"),
            "F4": _flight("OSL", "TRD", d20="available"),
            "F5": _flight("OSL", "BGO", d20="available"),
        },
        "reservations": {
            "plain": _reservation(ANN, SOON),
            "basic": _reservation(ANN, SOON, cabin="basic_economy"),
            "fresh": _reservation(ANN, SOON, created_at="2024-05-14T15:00:00"),
            "stale": _reservation(ANN, SOON, created_at="2024-05-14T14:59:59"),
            "flown": _reservation(ANN, FLOWN, created_at="2024-05-15T10:00:00"),
            "dear": _reservation(ANN, SOON, cabin="business"),
            "round": _reservation(ANN, SOON, BACK, **ROUND),
            "basic_round": _reservation(ANN, SOON, BACK, **ROUND, cabin="basic_economy"),
            "halfway": _reservation(ANN, FLOWN, BACK, **ROUND, created_at="2024-05-15T10:00:00"),
            "gone": _reservation(ANN, ("F1", "2024-05-22"), BACK, **ROUND),
            "late": _reservation(ANN, LATE, BACK, **ROUND, passengers=[{}, {}, {}], touched=True),
            "insured_fresh": _reservation(
                ANN, SOON, insurance="yes", created_at="2024-05-14T15:00:00"
            ),
            "insured_stale": _reservation(
                ANN, SOON, insurance="yes", created_at="2024-05-14T14:59:59"
            ),
            "insured_dear": _reservation(ANN, SOON, insurance="yes", cabin="business"),
            "insured_gone": _reservation(ANN, ("F1", "2024-05-22"), BACK, **ROUND, insurance="yes"),
            "dans": _reservation(DAN, SOON, touched=True),
            "eves": _reservation(EVE, ("F1", "2024-05-22"), cabin="business"),
            "insured": _reservation(ANN, SOON, insurance="yes"),
            "bobs": _reservation(BOB, SOON, created_at="2024-05-15T10:00:00"),
            "bobs_gone": _reservation(BOB, ("F1", "2024-05-22")),
        },
    }
)
WORLDS = {"retail": SHOP, "airline": AIR}
ADDRESS = dict.fromkeys(("address1", "address2", "city", "state", "country", "zip"), "x")
WHO = {"first_name": "A", "last_name": "B", "dob": "2000-01-01"}


def _fly(*numbers: str, day: str = "2024-05-20") -> list[dict[str, str]]:
    return [{"flight_number": number, "date": day} for number in numbers]


def _pay(*methods: str) -> list[dict[str, Any]]:
    return [{"payment_id": method, "amount": 10} for method in methods]


GOOD: Mapping[str, dict[str, Any]] = {
    "get_user_details": {"user_id": ANN},
    "get_order_details": {"order_id": "waiting"},
    "cancel_pending_order": {"order_id": "waiting", "reason": "ordered by mistake"},
    "modify_pending_order_address": {"order_id": "waiting", **ADDRESS},
    "modify_pending_order_payment": {"order_id": "waiting", "payment_method_id": "gift1"},
    "modify_pending_order_items": {
        "order_id": "waiting",
        "item_ids": ["lamp"],
        "new_item_ids": ["lamp2"],
        "payment_method_id": "gift",
    },
    "exchange_delivered_order_items": {
        "order_id": "arrived",
        "item_ids": ["lamp"],
        "new_item_ids": ["lamp2"],
        "payment_method_id": "gift",
    },
    "return_delivered_order_items": {
        "order_id": "arrived",
        "item_ids": ["lamp"],
        "payment_method_id": "gift",
    },
    "modify_user_address": {"user_id": ANN, **ADDRESS},
    "book_reservation": {
        "user_id": ANN,
        "origin": "OSL",
        "destination": "BGO",
        "flight_type": "one_way",
        "cabin": "economy",
        "flights": _fly("F1"),
        "passengers": [WHO] * 5,
        "payment_methods": _pay("cert", "card", "gift1", "gift2", "gift3"),
        "total_baggages": 11,
        "nonfree_baggages": 1,
        "insurance": "no",
    },
    "update_reservation_flights": {
        "reservation_id": "plain",
        "cabin": "economy",
        "flights": _fly("F5"),
        "payment_id": "card",
    },
    "update_reservation_baggages": {
        "reservation_id": "plain",
        "total_baggages": 4,
        "nonfree_baggages": 0,
        "payment_id": "card",
    },
    "update_reservation_passengers": {"reservation_id": "plain", "passengers": [WHO, WHO]},
    "cancel_reservation": {"reservation_id": "fresh"},
    "send_certificate": {"user_id": ANN, "amount": 200},
}
"""A call of each tool that the policy allows."""

ALSO_GOOD: list[tuple[str, dict[str, Any]]] = [
    ("return_delivered_order_items", {"payment_method_id": "card"}),
    ("modify_pending_order_items", {"payment_method_id": "card", "new_item_ids": ["lamp3"]}),
    ("book_reservation", {"total_baggages": 10, "nonfree_baggages": 0}),
    ("book_reservation", {"cabin": "business", "total_baggages": 15, "nonfree_baggages": 0}),
    ("book_reservation", {"cabin": "basic_economy", "total_baggages": 5, "nonfree_baggages": 0}),
    ("update_reservation_flights", {"reservation_id": "basic", "flights": _fly("F1")}),
    (
        "update_reservation_flights",
        {
            "reservation_id": "late",
            "cabin": "business",
            "flights": [*_fly("F1", day=LATE[1]), *_fly("F2")],
        },
    ),
    ("update_reservation_flights", {"reservation_id": "basic_round", "flights": _fly("F1", "F2")}),
    ("update_reservation_flights", {"reservation_id": "round", "flights": _fly("F5", "F2")}),
    ("update_reservation_baggages", {"total_baggages": 1}),
    ("update_reservation_baggages", {"total_baggages": 5, "nonfree_baggages": 1}),
    ("modify_pending_order_payment", {"payment_method_id": "gift40"}),
    ("modify_pending_order_items", {"new_item_ids": ["lamp5"]}),
    ("exchange_delivered_order_items", {"new_item_ids": ["lamp5"]}),
    ("cancel_reservation", {"reservation_id": "insured_fresh"}),
    ("cancel_reservation", {"reservation_id": "insured_dear"}),
    ("cancel_reservation", {"reservation_id": "insured_gone"}),
    ("cancel_reservation", {"reservation_id": "dear"}),
    ("cancel_reservation", {"reservation_id": "gone"}),
    ("send_certificate", {"amount": 150}),
]

BOTH: dict[str, Any] = {"item_ids": ["lamp", "mug"], "payment_method_id": "card"}

STOPPED: list[tuple[str, dict[str, Any], str]] = [
    ("get_user_details", {"user_id": BOB}, "own-profile"),
    ("get_order_details", {"order_id": "bobs"}, "own-order"),
    ("modify_user_address", {"user_id": BOB}, "own-account"),
    ("cancel_pending_order", {"order_id": "bobs"}, "own-account"),
    ("cancel_pending_order", {"order_id": "arrived"}, "pending-to-cancel"),
    ("cancel_pending_order", {"order_id": "modified"}, "pending-to-cancel"),
    ("cancel_pending_order", {"reason": "too dear"}, "reason-to-cancel"),
    ("modify_pending_order_address", {"order_id": "modified"}, "pending-to-modify"),
    ("modify_pending_order_payment", {"payment_method_id": "card"}, "another-method"),
    ("modify_pending_order_payment", {"payment_method_id": "gift"}, "card-covers-the-order"),
    ("modify_pending_order_payment", {"payment_method_id": "none"}, "method-in-profile"),
    (
        "modify_pending_order_items",
        {"item_ids": ["lamp2"], "new_item_ids": ["lamp"]},
        "items-of-the-order",
    ),
    (
        "modify_pending_order_items",
        {"item_ids": ["lamp"] * 2},
        "items-of-the-order same-product-to-modify",
    ),
    ("modify_pending_order_items", {"new_item_ids": ["mug"]}, "same-product-to-modify"),
    ("modify_pending_order_items", {"new_item_ids": ["lamp"]}, "other-option-to-modify"),
    ("modify_pending_order_items", {"new_item_ids": ["lamp4"]}, "available-to-modify"),
    ("modify_pending_order_items", {"new_item_ids": ["lamp3"]}, "card-covers-the-modification"),
    ("return_delivered_order_items", {"order_id": "waiting"}, "delivered-to-return"),
    ("return_delivered_order_items", {"item_ids": ["lamp"] * 2}, "items-of-the-order"),
    (
        "return_delivered_order_items",
        {"payment_method_id": "card2"},
        "refund-to-original-or-card",
    ),
    ("exchange_delivered_order_items", {"order_id": "waiting"}, "delivered-to-exchange"),
    ("exchange_delivered_order_items", {"order_id": "bobs_arrived"}, "own-account"),
    ("exchange_delivered_order_items", {"new_item_ids": ["mug"]}, "same-product-to-exchange"),
    ("exchange_delivered_order_items", {"new_item_ids": ["lamp"]}, "other-option-to-exchange"),
    ("exchange_delivered_order_items", {"new_item_ids": ["lamp4"]}, "available-to-exchange"),
    ("exchange_delivered_order_items", {"new_item_ids": ["lamp3"]}, "card-covers-the-exchange"),
    ("book_reservation", {"flights": _fly("F1", day=LATE[1])}, "bookable-flights"),
    ("book_reservation", {"passengers": [WHO] * 6, "nonfree_baggages": 0}, "five-passengers"),
    ("book_reservation", {"payment_methods": _pay("cert", "cert2")}, "one-certificate"),
    ("book_reservation", {"payment_methods": _pay("card", "card2")}, "one-credit-card"),
    (
        "book_reservation",
        {"payment_methods": _pay("gift1", "gift2", "gift3", "gift4")},
        "three-gift-cards",
    ),
    ("book_reservation", {"payment_methods": _pay("none")}, "method-in-profile"),
    ("book_reservation", {"nonfree_baggages": 0}, "bags-of-a-booking"),
    ("book_reservation", {"nonfree_baggages": 2}, "bags-of-a-booking"),
    ("book_reservation", {"user_id": BOB}, "own-account bags-of-a-booking"),
    ("update_reservation_flights", {"reservation_id": "basic"}, "basic-economy-keeps-flights"),
    ("update_reservation_flights", {"flights": _fly("F3")}, "same-origin"),
    ("update_reservation_flights", {"flights": _fly("F4")}, "same-destination same-trip-type"),
    ("update_reservation_flights", {"flights": _fly("F1", "F2")}, "same-trip-type"),
    ("update_reservation_flights", {"flights": _fly("F1", day=LATE[1])}, "kept-or-available"),
    (
        "update_reservation_flights",
        {"reservation_id": "flown", "flights": _fly("F1", day=FLOWN[1]), "cabin": "business"},
        "flown-keeps-cabin",
    ),
    ("update_reservation_flights", {"payment_id": "cert"}, "card-to-change"),
    ("update_reservation_baggages", {"total_baggages": 0}, "bags-only-added"),
    ("update_reservation_baggages", {"total_baggages": 5}, "bags-of-a-change"),
    (
        "update_reservation_baggages",
        {"reservation_id": "bobs"},
        "own-account bags-of-a-change",
    ),
    ("update_reservation_passengers", {"passengers": [WHO]}, "as-many-passengers"),
    ("cancel_reservation", {"reservation_id": "flown"}, "nothing-flown"),
    ("cancel_reservation", {"reservation_id": "stale"}, "ground-to-cancel"),
    ("cancel_reservation", {"reservation_id": "insured"}, "insured-reason"),
    ("cancel_reservation", {"reservation_id": "bobs"}, "own-account"),
    ("send_certificate", {"amount": 100}, "ground-to-compensate"),
    ("send_certificate", {"user_id": BOB}, "own-account ground-to-compensate"),
    (
        "modify_pending_order_items",
        {**BOTH, "new_item_ids": ["lamp2", "lamp2"]},
        "same-product-to-modify",
    ),
    (
        "modify_pending_order_items",
        {**BOTH, "new_item_ids": ["lamp2", "mug"]},
        "other-option-to-modify",
    ),
    (
        "modify_pending_order_items",
        {**BOTH, "new_item_ids": ["lamp2", "mug3"]},
        "available-to-modify",
    ),
    (
        "exchange_delivered_order_items",
        {**BOTH, "new_item_ids": ["lamp2", "lamp2"]},
        "same-product-to-exchange",
    ),
    (
        "exchange_delivered_order_items",
        {**BOTH, "new_item_ids": ["lamp2", "mug"]},
        "other-option-to-exchange",
    ),
    (
        "exchange_delivered_order_items",
        {**BOTH, "new_item_ids": ["lamp2", "mug3"]},
        "available-to-exchange",
    ),
    (
        "book_reservation",
        {"flights": [*_fly("F1"), *_fly("F1", day=LATE[1])]},
        "bookable-flights",
    ),
    (
        "update_reservation_flights",
        {"reservation_id": "basic_round", "flights": _fly("F5", "F2")},
        "basic-economy-keeps-flights",
    ),
    (
        "update_reservation_flights",
        {"reservation_id": "round", "flights": [*_fly("F5"), *_fly("F2", day=LATE[1])]},
        "kept-or-available",
    ),
    (
        "update_reservation_flights",
        {
            "reservation_id": "halfway",
            "cabin": "business",
            "flights": [*_fly("F1", day=FLOWN[1]), *_fly("F2")],
        },
        "flown-keeps-cabin",
    ),
    ("cancel_reservation", {"reservation_id": "halfway"}, "nothing-flown"),
    ("cancel_reservation", {"reservation_id": "insured_stale"}, "insured-reason"),
    ("send_certificate", {"user_id": DAN}, "own-account ground-to-compensate"),
    ("send_certificate", {"user_id": DAN, "amount": 100}, "own-account ground-to-compensate"),
    ("send_certificate", {"user_id": EVE}, "own-account"),
]
"""Tool, what is otherwise than in the good call, and the rules that object, spaces between."""


@cache
def domain_of(tool: str) -> Domain:
    """Return the domain a tool belongs to, over the small world of these tests."""
    return _domain(next(name for name, shapes in SHAPES.items() if tool in shapes))


@cache
def _domain(name: str) -> Domain:
    return Domain(name, WORLDS[name])


def _id(value: object) -> str:
    return str(value)[:60]


@pytest.mark.parametrize(("tool", "change"), [*((tool, {}) for tool in GOOD), *ALSO_GOOD], ids=_id)
def test_a_call_within_the_written_policy_is_allowed(tool: str, change: dict[str, Any]) -> None:
    """No rule stands in the way of what the policy allows, right at its limits."""
    found = ruled(domain_of(tool), "-", tool, {**GOOD[tool], **change}, f"user:{ANN}")
    assert (found.verdict, found.rules) == ("allowed", ())


@pytest.mark.parametrize(("tool", "change", "rules"), STOPPED, ids=_id)
def test_a_call_beyond_it_is_stopped_by_the_rules_that_say_so(
    tool: str, change: dict[str, Any], rules: str
) -> None:
    """One thing is otherwise than in the good call, and exactly these rules object."""
    found = ruled(domain_of(tool), "-", tool, {**GOOD[tool], **change}, f"user:{ANN}")
    assert set(found.rules) == set(rules.split())
    assert found.verdict == ("asked" if rules == "insured-reason" else "denied")


@pytest.mark.parametrize("tool", sorted(GOOD))
def test_a_write_needs_a_yes_and_a_read_does_not(tool: str) -> None:
    """Before anything is changed the user has to have agreed, in what they wrote last."""
    write = SHAPES[domain_of(tool).name][tool].write
    for said, agreed in (("Yes, please.", True), ("Please proceed.", True), ("Which one?", False)):
        found = ruled(domain_of(tool), "-", tool, GOOD[tool], f"user:{ANN}", said)
        assert found.rules == (() if agreed or not write else ("confirmed",))


def test_every_rule_has_a_call_that_it_stops() -> None:
    """No rule of the two policies is without its test."""
    named = {
        rule.name
        for name in WORLDS
        for block in _domain(name).policy.blocks
        for rule in block.rules
    }
    assert named - {"confirmed"} == set[str]().union(*(rules.split() for _, _, rules in STOPPED))


@pytest.mark.parametrize("tool", [tool for tool in GOOD if "user_id" not in GOOD[tool]])
def test_without_its_records_a_call_is_denied_and_counted_as_that(tool: str) -> None:
    """A record that nobody has denies, and is never told as a rule that was broken."""
    found = ruled(Domain(domain_of(tool).name, World()), "-", tool, GOOD[tool], f"user:{ANN}")
    assert found.verdict == "no facts"
    assert found.rules
