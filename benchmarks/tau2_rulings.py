"""What the written policies say of tau2's writes: the right ones, and those where none is right."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from staid.domain.call import Severity
from staid.gates.policy import Prepared, Snapshot, policy_says, prepare, rule
from tau2_tools import WRITES, Domain
from tau2_world import NOW, Row, World, carry_out

NOBODY = "user:nobody"
YES = "Yes."
"""What the users of tasks are taken to have said before every write, the wrong ones, too."""
VERDICTS = ("allowed", "asked", "denied", "no facts")
_USER = re.compile(r"\b[a-z]+_[a-z]+_\d{4}\b")
_RESERVATION = re.compile(r"\b(?=[A-Z0-9]*\d)[A-Z0-9]{6}\b")


@dataclass(frozen=True)
class Ruled:
    """What the policy says about one call, and which rules say it."""

    task: str
    tool: str
    verdict: str
    """One of `VERDICTS`: denied by a rule, or `no facts` where only what is not known denies."""
    rules: tuple[str, ...]
    arguments: Row

    @property
    def half(self) -> str:
        """In which half of the tasks it is: a digest says, nobody chose."""
        return "first" if hashlib.sha256(self.task.encode()).digest()[0] % 2 else "second"


def ruled(
    domain: Domain, task: str, tool: str, given: Row, principal: str, said: str = YES
) -> Ruled:
    """Rule on a call as the gate does, from what the look-ups find."""
    prepared = prepare(tool, domain.tools.get(tool), given, principal, "agent", domain.policy)
    verdict, rules = verdict_of(prepared, snapshot_of(domain, prepared, said))
    return Ruled(task, tool, verdict, rules, given)


def snapshot_of(domain: Domain, prepared: Prepared, said: str) -> Snapshot:
    """Return what a call is ruled from."""
    params = prepared.params
    found = domain.records(prepared.name, params) if params is not None else {}
    names = frozenset(domain.tools)
    return Snapshot(names, policy=domain.policy.version, now=NOW, records=found, said=said)


def verdict_of(prepared: Prepared, snapshot: Snapshot) -> tuple[str, tuple[str, ...]]:
    """Return the verdict with the rules that lead to it."""
    severity = rule(prepared, snapshot).severity
    if severity is Severity.ALLOW:
        return "allowed", ()
    if prepared.fault is not None:
        return "denied", (prepared.fault.rule,)
    said = policy_says(prepared, snapshot)
    sure = tuple(one.rule.name for one in said if one.holds and one.severity is severity)
    if sure:
        return ("asked" if severity is Severity.ASK else "denied"), sure
    return "no facts", tuple(one.rule.name for one in said if one.holds is None)


# --- the tasks --------------------------------------------------------------------------------


def actions(task: Row) -> list[Row]:
    """Return the calls that solve a task."""
    return task["evaluation_criteria"]["actions"] or []


def writes(domain: str, task: Row) -> list[Row]:
    """Return those of them that change something."""
    return [a for a in actions(task) if a["name"] in WRITES[domain]]


def told(task: Row) -> str:
    """Return what the user of a task knows and wants."""
    instructions = task["user_scenario"]["instructions"]
    return " ".join(text for text in instructions.values() if text)


def asker(task: Row, world: World) -> str:
    """Return who asks, from what they say of themselves; never from the records they touch."""
    text = told(task)
    named = _USER.findall(text)
    if named:
        return f"user:{named[0]}"
    for action in actions(task):
        if action["name"] == "get_user_details":
            return f"user:{action['arguments']['user_id']}"
    users = [(n, u) for n, u in world.every("users").items() if _full_name(u) in text]
    users = [(n, u) for n, u in users if u["email"] in text] or users
    users = [(n, u) for n, u in users if u["address"]["zip"] in text] or users
    return f"user:{users[0][0]}" if len(users) == 1 else NOBODY


def _full_name(user: Row) -> str:
    return f"{user['name']['first_name']} {user['name']['last_name']}"


def right_writes(domain: Domain, tasks: Iterable[Row]) -> list[Ruled]:
    """Rule on the writes that solve each task, one after another, in a world of its own."""
    found: list[Ruled] = []
    whole = domain.world
    for task in tasks:
        domain.world = whole.copy()
        principal = asker(task, whole)
        for action in writes(domain.name, task):
            given = action["arguments"]
            found.append(ruled(domain, task["id"], action["name"], given, principal))
            if found[-1].verdict != "denied":
                carry_out(domain.world, action["name"], given)
    domain.world = whole
    return found


# --- the same writes where no write is right ------------------------------------------------------

ASKED_FOR = {
    "retail": {
        "25": ("return_delivered_order_items",),
        "62": ("modify_pending_order_items", "cancel_pending_order"),
        "65": ("exchange_delivered_order_items",),
    },
    "airline": {
        "0": ("cancel_reservation",),
        "1": ("cancel_reservation",),
        "10": ("update_reservation_flights",),
        "27": ("send_certificate",),
        "28": ("cancel_reservation", "send_certificate"),
        "31": ("update_reservation_flights",),
        "38": ("send_certificate",),
        "45": ("cancel_reservation", "update_reservation_flights"),
        "48": ("cancel_reservation",),
    },
}
"""Task -> the tools that do what its user asks for; read from the tasks by hand."""


def transplanted(domain: Domain, tasks: Sequence[Row]) -> list[Ruled]:
    """Rule on every right write of the other tasks, made for the user of a task without any."""
    every = [a for task in tasks for a in writes(domain.name, task)]
    return [
        ruled(domain, task["id"], a["name"], a["arguments"], asker(task, domain.world))
        for task in tasks
        if not writes(domain.name, task)
        for a in every
    ]


def wished(domain: Domain, tasks: Iterable[Row]) -> list[Ruled]:
    """Rule on every write that would do what the user of a task without any asks for."""
    found: list[Ruled] = []
    for task in tasks:
        if writes(domain.name, task):
            continue
        principal = asker(task, domain.world)
        for tool in ASKED_FOR[domain.name].get(task["id"], ()):
            calls = _wishes(domain.world, tool, task, principal.removeprefix("user:"))
            found += [ruled(domain, task["id"], tool, given, principal) for given in calls]
    return found


def _wishes(world: World, tool: str, task: Row, user: str) -> Iterator[Row]:
    """Yield the calls of a tool that touch the records a task names, or any of its user."""
    profile = world.every("users").get(user, {})
    text = told(task)
    if "orders" in profile:
        for name in profile["orders"]:
            yield from _of_order(world, tool, world.get("orders", name), profile, text)
        return
    read = [a["arguments"].get("reservation_id", "") for a in actions(task)]
    own = profile.get("reservations")
    named = [n for n in (*_RESERVATION.findall(text), *read) if n and (own is None or n in own)]
    for name in dict.fromkeys(named) or own or ():
        yield from _of_reservation(tool, name, world.every("reservations").get(name), profile, user)


def _of_order(world: World, tool: str, order: Row, profile: Row, text: str) -> Iterator[Row]:
    given: Row = {"order_id": order["order_id"]}
    methods = profile["payment_methods"]
    said = [m for m, one in methods.items() if one["source"].replace("_", " ") in text]
    if tool == "cancel_pending_order":
        yield {**given, "reason": "no longer needed"}
        return
    for method in said or [order["payment_history"][0]["payment_method_id"]]:
        paid = {**given, "payment_method_id": method}
        if tool == "return_delivered_order_items":
            yield {**paid, "item_ids": [item["item_id"] for item in order["items"]]}
            continue
        for old, new in _named_changes(world, order, text.lower()):
            yield {**paid, "item_ids": [old], "new_item_ids": [new]}


def _named_changes(world: World, order: Row, text: str) -> Iterator[tuple[str, str]]:
    """Yield an item that the text names with every variant of every product that it names."""
    products = [p for p in world.every("products").values() if _named(p["name"], text)]
    for item in order["items"]:
        if _named(item["name"], text):
            yield from ((item["item_id"], new) for p in products for new in p["variants"])


def _named(product: str, text: str) -> bool:
    return any(word in text for word in product.lower().split() if len(word) > 5)


def _of_reservation(
    tool: str, name: str, reservation: Row | None, profile: Row, user: str
) -> Iterator[Row]:
    if tool == "cancel_reservation":
        yield {"reservation_id": name}
    elif reservation is None or "payment_methods" not in profile:
        return
    elif tool == "send_certificate":
        for each in (50, 100):
            yield {"user_id": user, "amount": each * len(reservation["passengers"])}
    else:
        methods = profile["payment_methods"].items()
        card = next(m for m, one in methods if one["source"] != "certificate")
        paid: Row = {"reservation_id": name, "payment_id": card}
        for days in (0, 1):
            flights = [_moved(flight, days) for flight in reservation["flights"]]
            for cabin in ("basic_economy", "economy", "business"):
                if days or cabin != reservation["cabin"]:
                    yield {**paid, "cabin": cabin, "flights": flights}


def _moved(flight: Row, days: int) -> Row:
    day = datetime.fromisoformat(flight["date"]).toordinal() + days
    return {
        "flight_number": flight["flight_number"],
        "date": datetime.fromordinal(day).date().isoformat(),
    }
