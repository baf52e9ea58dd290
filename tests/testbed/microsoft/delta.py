"""calendarView/delta: rounds of pages over a window that the first request fixes.

Sources: https://learn.microsoft.com/graph/api/event-delta, delta-query-events, delta-query-overview. On no page,
but seen by others (pull request 4501 and issue 7632 of microsoft-graph-docs): nothing tells of a deleted
occurrence, a series is not split between pages, an occurrence carries only its series and its times.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import errors
from .access import Call
from .ids import event_id
from .operations import Answer, span
from .rendering import delta_json, removed_json
from .series import View, visible
from .state import Calendar, Event

_REFUSED = ("$orderby", "$filter", "$select", "$expand", "$search", "$top", "$skip", "$count")


@dataclass(frozen=True)
class Removed:
    view: View


Group = list[View | Removed]


@dataclass(frozen=True)
class State:
    """What a token stands for. `since`: the change number up to which the client knows everything; None before
    the first round."""

    calendar: Calendar
    start: datetime
    end: datetime
    since: int | None
    groups: tuple[Group, ...] = ()
    reached: int = 0


@dataclass
class Tokens:
    """The tokens that are still known."""

    _known: dict[str, State] = field(default_factory=dict)

    def keep(self, state: State) -> str:
        token = "R0usm" + secrets.token_urlsafe(64)
        self._known[token] = state
        return token

    def get(self, token: str) -> State | None:
        return self._known.get(token)

    def forget(self) -> None:
        self._known.clear()


def delta(call: Call, tokens: Tokens) -> Answer:
    """Raises 400, and what `Habits.lost_token` says for a token that is not known any more."""
    unsupported = [name for name in _REFUSED if call.request.option(name) is not None]
    if unsupported:
        message = (
            "The following parameters are not supported with change tracking over the 'CalendarView' resource: "
            "'$orderby, $filter, $select, $expand, $search, $top'."
        )
        raise errors.bad_request("ErrorInvalidUrlQuery", message)
    page = call.request.option("$skiptoken")
    token = call.request.option("$deltatoken")
    calendar = call.calendar
    if page is not None:
        state = _known(call, tokens, page)
    elif token is not None:
        state = _next_round(call, _known(call, tokens, token))
    else:
        start, end = span(call)
        state = _next_round(call, State(calendar, start, end, None))
    if state.calendar is not calendar:
        raise errors.bad_request("ErrorInvalidUrlQuery", "The token belongs to another calendar.")
    return _page(call, tokens, state)


def _known(call: Call, tokens: Tokens, token: str) -> State:
    state = tokens.get(token)
    if state is not None:
        return state
    code = call.world.habits.lost_token
    if code == "gone":
        location = {"Location": f"{call.request.url}?$deltatoken="}
        raise errors.ApiError(410, "SyncStateNotFound", "The sync state is not found.", headers=location)
    raise errors.bad_request(code, "The sync state generation is not found. Data must be synchronized again.")


def _next_round(call: Call, state: State) -> State:
    world, calendar = call.world, state.calendar
    if state.since is not None and world.habits.lag:
        world.habits.lag -= 1
        return state
    known = -1 if state.since is None else state.since
    changed = [event for event in calendar.events.values() if event.change > known]
    groups = [_group(call, event, state) for event in sorted(changed, key=lambda event: event.change)]
    if state.since is not None:
        groups += [_gone(event, state) for event in calendar.deleted if event.change > known]
    groups = [group for group in groups if group]
    repeated = [row for group in groups for row in group][: world.habits.repeats]
    groups += [[row] for row in repeated]
    return State(calendar, state.start, state.end, world.newest, tuple(groups))


def _group(call: Call, event: Event, state: State) -> Group:
    """The rows of a changed event: a series comes whole, as far as the window shows it."""
    shown: Group = list(visible(event, state.start, state.end))
    if not shown:
        return [] if state.since is None else [Removed(View(event))]
    if event.recurrence is not None and call.world.habits.masters:
        return [View(event), *shown]
    return shown


def _gone(event: Event, state: State) -> Group:
    """A deleted event, whether the window ever showed it or not; of a series its instances too (assumed)."""
    shown = visible(event, state.start, state.end) if event.recurrence is not None else []
    return [Removed(view) for view in (View(event), *shown)]


def _page(call: Call, tokens: Tokens, state: State) -> Answer:
    asked = call.request.preferences.get("odata.maxpagesize", "")
    wanted = int(asked) if re.fullmatch("[1-9][0-9]{0,5}", asked) else call.world.habits.page
    rows: Group = []
    reached = state.reached
    while reached < len(state.groups) and len(rows) < min(wanted, call.world.habits.page_limit):
        rows += state.groups[reached]
        reached += 1
    body: dict[str, Any] = {
        "@odata.context": f"{call.request.base}/$metadata#Collection(event)",
        "value": [_row(call, row) for row in rows],
    }
    if reached < len(state.groups):
        more = State(state.calendar, state.start, state.end, state.since, state.groups, reached)
        body["@odata.nextLink"] = f"{call.request.url}?$skiptoken={tokens.keep(more)}"
    else:
        done = State(state.calendar, state.start, state.end, state.since)
        body["@odata.deltaLink"] = f"{call.request.url}?$deltatoken={tokens.keep(done)}"
    return Answer(200, body)


def _row(call: Call, row: View | Removed) -> dict[str, Any]:
    if isinstance(row, Removed):
        return removed_json(event_id(row.view.event, row.view.day, immutable=call.request.immutable))
    return delta_json(call.world, row, call.request)
