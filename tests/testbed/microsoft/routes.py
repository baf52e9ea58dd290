"""Which paths there are, with which query options, and of which types bodies and answers are.

The options are those that the page of each method names (query-parameters for the general ones); any other is a
violation. Paths are matched behind `/me` or `/users/{id}`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import errors, operations
from .access import Call
from .delta import Tokens, delta
from .operations import Answer

_SPAN = frozenset({"startdatetime", "enddatetime"})
_ONE = frozenset({"$select", "$expand"})
_TOKENS = frozenset({"$deltatoken", "$skiptoken"})
_EVENTS = "eventCollection"
_CALENDARS: tuple[tuple[str, ...], ...] = ((), ("calendar",), ("calendars", "{calendar}"))
_MANY = _ONE | {"$filter", "$orderby", "$top", "$skip", "$count"}


@dataclass(frozen=True)
class Route:
    """`scope`: the least that the token needs. `body`, `answer`: names of types in the schema."""

    method: str
    path: tuple[str, ...]
    run: Callable[[Call], Answer]
    scope: str
    options: frozenset[str] = frozenset()
    body: str | None = None
    answer: str | None = None

    def match(self, method: str, path: list[str]) -> dict[str, str] | None:
        """The ids in the path, if it is this route's."""
        if method != self.method or len(path) != len(self.path):
            return None
        args = {}
        for wanted, given in zip(self.path, path, strict=True):
            if wanted.startswith("{"):
                args[wanted.strip("{}")] = given
            elif wanted.casefold() != given.casefold():
                return None
        return args


def table(tokens: Tokens) -> list[Route]:
    read, write = "Calendars.Read", "Calendars.ReadWrite"
    routes = [
        Route("GET", (), operations.get_user, "User.Read", _ONE, answer="user"),
        Route(
            "GET",
            ("mailboxSettings",),
            operations.get_settings,
            "MailboxSettings.Read",
            _ONE,
            answer="mailboxSettings",
        ),
        Route(
            "GET",
            ("mailboxSettings", "timeZone"),
            operations.get_settings_zone,
            "MailboxSettings.Read",
            answer="value",
        ),
        Route("GET", ("calendars",), operations.list_calendars, read, _MANY, answer="calendarCollection"),
        Route("POST", ("calendars",), operations.create_calendar, write, body="calendar", answer="calendar"),
        Route("POST", ("translateExchangeIds",), operations.translate_ids, "User.Read", answer="value"),
    ]
    for place in _CALENDARS[1:]:
        routes += [
            Route("GET", place, operations.get_calendar, read, _ONE, answer="calendar"),
            Route("PATCH", place, operations.update_calendar, write, body="calendar", answer="calendar"),
            Route("DELETE", place, operations.delete_calendar, write),
        ]
    for place in _CALENDARS:
        all_of, one = (*place, "events"), (*place, "events", "{event}")
        view = (*place, "calendarView")
        tracked = partial(delta, tokens=tokens)
        routes += [
            Route("GET", all_of, operations.list_events, read, _MANY, answer=_EVENTS),
            Route("POST", all_of, operations.create_event, write, body="event", answer="event"),
            Route("GET", one, operations.get_event, read, _ONE, answer="event"),
            Route("PATCH", one, operations.update_event, write, body="event", answer="event"),
            Route("DELETE", one, operations.delete_event, write),
            Route("GET", (*one, "instances"), operations.list_instances, read, _MANY | _SPAN, answer=_EVENTS),
            Route("GET", view, operations.list_view, read, _MANY | _SPAN, answer=_EVENTS),
            Route("GET", (*view, "delta"), tracked, read, _SPAN | _TOKENS, answer=_EVENTS),
        ]
    return routes


def find(routes: list[Route], method: str, path: list[str]) -> tuple[Route, dict[str, str]]:
    """Raises 400 for a path that is nobody's, 405 for a method that the path has not."""
    for route in routes:
        args = route.match(method, path)
        if args is not None:
            return route, args
    if any(route.match(route.method, path) is not None for route in routes):
        raise errors.method_not_allowed()
    raise errors.no_segment(path[-1] if path else "")
