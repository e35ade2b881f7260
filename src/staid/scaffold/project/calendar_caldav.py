"""Bookings on a CalDAV server, used when `CALDAV_URL` is set. It keeps nothing: the server does.

`CALDAV_URL` is the folder that holds the calendars, as in https://dav.example.com/support/
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self, cast
from urllib.parse import quote

from caldav.calendarobjectresource import Event
from caldav.collection import Calendar
from caldav.davclient import DAVClient
from caldav.lib.error import DAVError, NotFoundError
from niquests.exceptions import RequestException

import staid

AWAY = (DAVError, RequestException, OSError)


@dataclass(frozen=True)
class CalDavCalendars:
    """The calendars below one address; a client is made for each piece of work, for threads."""

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Return the calendars at `CALDAV_URL`, for `CALDAV_USER` and `CALDAV_PASSWORD`."""
        get = environment.get
        return cls(environment["CALDAV_URL"], get("CALDAV_USER"), get("CALDAV_PASSWORD"))

    def book(self, name: str, start: datetime, end: datetime, call: staid.Call) -> None:
        """Book once per key and never over another event; `staid.NotDone` where nothing stays.

        The calendar is looked at right before the write and again after it, since CalDAV has no
        lock: of two who write at once, at least one sees the other and takes its own back.
        """
        with self._opened(name) as calendar:
            try:
                if _by_key(calendar, call.key) is not None:
                    return
                taken = _busy(calendar, start, end)
            except AWAY as error:
                raise staid.NotDone(
                    f"the calendar cannot be read: {type(error).__name__}"
                ) from error
            if taken:
                raise staid.NotDone(f"the {name} calendar is taken at that time")
            calendar.add_event(
                no_overwrite=True,  # the server refuses a second event of this name
                uid=call.key,
                dtstart=start,
                dtend=end,
                summary=f"Call with {call.principal}",
            )
            if _busy(calendar, start, end) - {call.key}:
                _remove(calendar, call.key)
                raise staid.NotDone(f"the {name} calendar was taken at that moment")

    def happened(self, name: str, call: staid.Call) -> bool | None:
        """Tell whether the event with this key exists; None when the server cannot be asked."""
        with self._opened(name) as calendar:
            try:
                return _by_key(calendar, call.key) is not None
            except AWAY:
                return None

    def undo(self, name: str, call: staid.Call) -> None:
        """Delete the event of this call; one that is gone already is fine."""
        with self._opened(name) as calendar:
            _remove(calendar, call.key)

    def slot(self, name: str, start: datetime, end: datetime) -> str:
        """Return what an approval rests on: the events in the way, or that it is free."""
        with self._opened(name) as calendar:
            return ", ".join(sorted(_busy(calendar, start, end))) or "free"

    @contextmanager
    def _opened(self, name: str) -> Generator[Calendar]:
        client = DAVClient(
            self.url,
            username=self.user,
            password=self.password,
            timeout=6,
            enable_rfc6764=False,  # the address is meant as it is written
        )
        with client:
            yield client.calendar(url=f"{self.url.rstrip('/')}/{quote(name)}/")


def _by_key(calendar: Calendar, key: str) -> Event | None:
    try:
        return cast("Event", calendar.get_event_by_uid(key))
    except NotFoundError:
        return None


def _busy(calendar: Calendar, start: datetime, end: datetime) -> set[str]:
    """Return the ids of what takes the time, repeating events included."""
    found = cast("list[Event]", calendar.search(start=start, end=end, event=True))
    parts: list[Any] = [part for event in found for part in event.icalendar_instance.walk("VEVENT")]
    return {
        str(part["UID"])
        for part in parts
        if part.get("TRANSP") != "TRANSPARENT" and part.get("STATUS") != "CANCELLED"
    }


def _remove(calendar: Calendar, key: str) -> None:
    event = _by_key(calendar, key)
    if event is not None:
        event.delete()
