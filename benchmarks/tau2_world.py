"""The shop and the airline of tau2: what their records say, and what a write does to them.

Records come from the package that carries the benchmark's two databases, where somebody named its
folder, else from what the recorded conversations happened to look up. What is in neither raises
`Unknown`: nothing is made up.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

NOW = datetime(2024, 5, 15, 15, tzinfo=ZoneInfo("EST"))
"""What time it is, says the policy of the airline. That of the shop looks at no clock."""

Row = dict[str, Any]


class Unknown(LookupError):
    """A record that nobody has."""


@dataclass
class World:
    """Records by kind and id."""

    tables: dict[str, dict[str, Row]] = field(default_factory=dict[str, dict[str, Row]])

    def get(self, kind: str, name: str) -> Row:
        """Return a record; raise `Unknown`."""
        try:
            return self.tables[kind][name]
        except KeyError:
            raise Unknown(f"{kind}: {name}") from None

    def every(self, kind: str) -> Mapping[str, Row]:
        """Return every record of a kind."""
        return self.tables.get(kind, {})

    def put(self, kind: str, name: str, row: Row) -> None:
        """Keep a record."""
        self.tables.setdefault(kind, {})[name] = row

    def copy(self) -> World:
        """Return a world in which other records may be put."""
        return World({kind: dict(rows) for kind, rows in self.tables.items()})

    # --- what tools find ------------------------------------------------------------------

    def customer(self, user: str) -> Row:
        """Return a profile, with who that is for the gate."""
        return {**self.get("users", user), "token": f"user:{user}"}

    def flight(self, number: str, day: str) -> Row:
        """Return a flight on a day: from where to where, and how it stands."""
        flight = self.get("flights", number)
        if day not in flight["dates"]:
            raise Unknown(f"{number} on {day}")
        route = {key: flight[key] for key in ("origin", "destination")}
        return {"flight_number": number, "date": day, **route, **flight["dates"][day]}

    def flown(self, reservation: Row) -> list[Row]:
        """Return the flights of a reservation as they stand."""
        return [self.flight(f["flight_number"], f["date"]) for f in reservation["flights"]]

    def variant(self, item: str) -> Row:
        """Return an item of the shop with its product; raise `Unknown`."""
        for product in self.every("products").values():
            if item in product["variants"]:
                return {**product["variants"][item], "product_id": product["product_id"]}
        raise Unknown(f"item {item}")


def rows(folder: Path, name: str) -> list[Row]:
    """Read a file of the evaluation data."""
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def of_package(folder: Path, domain: str) -> World:
    """Read a database of the package; `folder` holds one folder for each domain."""
    return World(json.loads((folder / domain / "db.json").read_text("utf-8")))


# --- what recorded conversations say ------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A call of a recorded conversation with its result, and what the user had said last."""

    tool: str
    arguments: Row
    result: Any
    failed: bool
    said: str


def steps(messages: list[Row]) -> Iterator[Step]:
    """Yield the calls of a conversation in order."""
    said, waiting = "", dict[str, tuple[str, Row]]()
    for message in messages:
        match message["role"]:
            case "user":
                said = message["content"]
            case "assistant":
                for call in message.get("tool_calls") or ():
                    given = json.loads(call["function"]["arguments"])
                    waiting[call["id"]] = (call["function"]["name"], given)
            case "tool":
                tool, given = waiting.pop(message["tool_call_id"])
                text = message["content"]
                failed = text.startswith("Error")
                yield Step(tool, given, text if failed else _parsed(text), failed, said)
            case _:
                pass


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def learn(world: World, step: Step) -> None:
    """Take over what the result of a call says about records."""
    result, given = step.result, step.arguments
    if step.failed:
        return
    if step.tool == "get_user_details":
        world.put("users", given["user_id"], result)
    elif step.tool.startswith("search_"):
        for found in result:
            _learn_flights(
                world, found if step.tool.endswith("onestop_flight") else [found], given["date"]
            )
    elif step.tool in TELL_A_RESERVATION:
        _learn_reservation(world, step)


TELL_A_RESERVATION = frozenset(
    [
        "get_reservation_details",
        "book_reservation",
        "cancel_reservation",
        "update_reservation_flights",
        "update_reservation_baggages",
        "update_reservation_passengers",
    ]
)
"""Tools that return a reservation."""


def _learn_reservation(world: World, step: Step) -> None:
    name = step.result["reservation_id"]
    known = world.every("reservations").get(name, {})
    touched = step.tool != "get_reservation_details" or known.get("touched", False)
    world.put("reservations", name, {**step.result, "touched": touched})


def _learn_flights(world: World, flights: list[Row], day: str) -> None:
    for flight in flights:
        known = world.every("flights").get(flight["flight_number"])
        route = {key: flight[key] for key in ("origin", "destination")}
        days = dict(known["dates"]) if known else {}
        days[flight.get("date") or day] = {"status": flight["status"]}
        world.put("flights", flight["flight_number"], {**route, "dates": days})


def of_runs(runs: list[Row]) -> World:
    """Return what recorded conversations looked up before they changed anything."""
    world = World()
    for run in runs:
        for step in steps(run["messages"]):
            if not step.tool.startswith(("get_", "search_", "list_", "calculate", "think")):
                break
            learn(world, step)
    return world


# --- what a write does ----------------------------------------------------------------------

_AFTER = {
    "cancel_pending_order": "cancelled",
    "modify_pending_order_items": "pending (item modified)",
    "return_delivered_order_items": "return requested",
    "exchange_delivered_order_items": "exchange requested",
}
"""The status an order has after a write, says the policy of the shop."""


def carry_out(world: World, tool: str, given: Row) -> None:
    """Put the records as a later rule would find them."""
    order = world.every("orders").get(given.get("order_id", ""))
    if order is not None and tool in _AFTER:
        world.put("orders", given["order_id"], {**order, "status": _AFTER[tool]})
    reservation = world.every("reservations").get(given.get("reservation_id", ""))
    if reservation is not None:
        # Those of the arguments that are fields of a reservation are what it has then.
        changed = {key: value for key, value in given.items() if key in reservation}
        world.put(
            "reservations", given["reservation_id"], {**reservation, **changed, "touched": True}
        )
