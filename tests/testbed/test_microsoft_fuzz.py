"""The model of Graph bears whatever it is sent: it refuses what is wrong, and never fails."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.testbed.graph_checks.kit import COLOR, SPRING, event
from tests.testbed.microsoft import Model
from tests.testbed.microsoft.requests import Request

SERIES: dict[str, Any] = event() | {
    "recurrence": {
        "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "sunday"},
        "range": {"type": "endDate", "startDate": "2026-03-02", "endDate": "2026-04-01"},
    },
    "singleValueExtendedProperties": [{"id": COLOR, "value": "Green"}],
    "attendees": [{"emailAddress": {"address": "bob@example.com"}, "type": "required"}],
    "location": {"displayName": "Home"},
    "body": {"contentType": "html", "content": "<b>x</b>"},
}
ENDLESS = copy.deepcopy(SERIES)
ENDLESS["recurrence"]["range"]["endDate"] = "2026-99-99"
VALUES = st.one_of(
    st.sampled_from([None, True, 0, -1, 31, 2**31, "", "x", [], {}, [1], "../etc", "UTC", "Europe/Berlin"]),
    st.sampled_from(["2026-99-99", "9999-12-31", "0001-01-01T00:00:00", "9999-12-31T23:59:59"]),
    st.sampled_from(["monday", "daily", "numbered", "absoluteMonthly"]),
)


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a value."""
    names = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        yield (*path, name)
        yield from places(value[name], *path, name)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A series in which one or two values, at any depth, are others or missing."""
    body = copy.deepcopy(SERIES)
    for _ in range(draw(st.integers(1, 2))):
        *path, name = draw(st.sampled_from(list(places(body))))
        inside = functools.reduce(lambda value, step: value[step], path, body)
        if draw(st.booleans()) or isinstance(inside, list):
            inside[name] = draw(VALUES)
        else:
            del inside[name]
    return body


def ask(model: Model, method: str, path: str, body: Any = None, **query: str) -> int:
    grant = model.world.grants[0]
    options = {name.replace("_", "$"): value for name, value in query.items()}
    request = Request(
        method, path.strip("/").split("/"), options, {}, body, "http://graph.example/v1.0", grant
    )
    answer = asyncio.run(model.service.answer(request, None, crowded=False))
    assert answer.status != 500, model.violations
    return answer.status


@settings(max_examples=100, deadline=None)
@given(bodies(), bodies())
@example(ENDLESS, ENDLESS)
def test_bodies(first: dict[str, Any], second: dict[str, Any]) -> None:
    model = Model()
    account = model.account()
    ask(model, "POST", "/me/events", first)
    named = model.place(account.calendar_id, SERIES)
    ask(model, "PATCH", f"/me/events/{named}", second)
    ask(model, "GET", "/me/events", _top="10")
    ask(model, "GET", "/me/calendarView/delta", **SPRING)
    ask(model, "GET", f"/me/events/{named}/instances", **SPRING)
    assert not [one for one in model.violations if one.startswith("answer")], model.violations


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(
        ["_top", "_skip", "_filter", "_expand", "_select", "_orderby", "startDateTime", "_deltatoken"]
    ),
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            ["singleValueExtendedProperties/any(a:a/id eq 'x' and a/value eq 'y')", "x eq 'y", "a(b;c"]
        ),
        st.sampled_from(
            ["9999-12-31T23:59:59-14:00", "0001-01-01", "exceptionOccurrences($select", "²", "'", "("]
        ),
    ),
    st.sampled_from(
        ["/me/events", "/me/calendarView", "/me/calendarView/delta", "/me/events/x", "/me/calendars"]
    ),
)
def test_query_options(name: str, value: str, path: str) -> None:
    model = Model()
    model.account()
    ask(model, "GET", path, **{**SPRING, name: value})


@pytest.mark.parametrize(
    "body", [None, [], "x", {"requests": 5}, {"requests": [5]}, {"requests": [{"id": 5}]}]
)
def test_batches(microsoft_model: Model, body: Any) -> None:
    headers = {"Authorization": f"Bearer {microsoft_model.account().token}"}
    url = f"{microsoft_model.url}/v1.0/$batch"
    assert httpx.post(url, json=body, headers=headers, trust_env=False).status_code == 400
