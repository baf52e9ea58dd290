"""What is copied between services costs so many requests, as `docs/reference/provider-requests.md` tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.sync.conftest import SERVICES
from tests.sync.stories import stamp
from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent

PAGE = Path(__file__).parents[2] / "docs/reference/provider-requests.md"
NAMES = {"google": "Google", "microsoft": "Microsoft", "radicale": "CalDAV", "feed": "feed"}
_WRITES = {"POST", "PUT", "PATCH", "DELETE"}
_PART = re.compile(rb"^(GET|POST|PUT|PATCH|DELETE) /", re.MULTILINE)

EDITS = {
    "such a series, renamed": (9, 14, "Renamed"),
    "such a series, its moved instance moved on": (9, 16, "Planning"),
    "such a series, all of it moved by two hours": (11, 14, "Planning"),
}


@dataclass
class Sent:
    """Requests, and those that wrote: a batch is one, whatever is in it."""

    requests: int = 0
    writes: int = 0
    to: list[str] = field(default_factory=list)

    def note(self, method: str, url: str, body: bytes | None) -> None:
        self.requests += 1
        self.writes += not _WRITES.isdisjoint(_methods(method, url, body or b""))
        self.to.append(url)


def _methods(method: str, url: str, body: bytes) -> set[str]:
    if url.endswith("/$batch"):
        return {part["method"] for part in json.loads(body)["requests"]}
    if "/batch/" in url:
        return {found.decode() for found in _PART.findall(body)}
    return {method}


@contextmanager
def counted(at: Desk) -> Iterator[Sent]:
    """What the installation sends while the block lasts."""
    sent, send = Sent(), at.app.http.request

    async def request(method: str, url: str, **given: Any) -> Any:
        sent.note(method, url, given.get("body"))
        return await send(method, url, **given)

    at.app.http.request = request  # type: ignore[method-assign]
    try:
        yield sent
    finally:
        del at.app.http.request


def told(what: str, pair: tuple[str, str], sent: Sent) -> None:
    """Whether the page says so."""
    here, there = (NAMES[name] for name in pair)
    row = f"| {what} | {here} | {there} | {sent.requests} | {sent.writes} |"
    assert row in PAGE.read_text().splitlines()


def _a_year(hour: int = 9, to: int = 14, title: str = "Planning") -> str:
    """52 Wednesdays, one of them moved to a Thursday."""
    named = f"RECURRENCE-ID;TZID=Europe/Berlin:{stamp(11, hour)}"
    return vcalendar(
        vevent("year", stamp(4, hour), stamp(4, hour + 1), title=title, extra="RRULE:FREQ=WEEKLY;COUNT=52"),
        vevent("year", stamp(12, to), stamp(12, to + 1), title=title, extra=named),
    )


PAIRS = list(permutations(SERVICES, 2))


@pytest.mark.parametrize("between", PAIRS, ids="-".join, indirect=True)
async def test_a_series_with_a_moved_instance(between: Desk, request: pytest.FixtureRequest) -> None:
    at, services = between, request.node.callspec.params["between"]
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await at.app.sync(pair)
    at.put_a("year", _a_year())
    with counted(at) as sent:
        await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert sent.writes <= 3
    told("a weekly series of 52 with one moved instance", services, sent)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("between", PAIRS, ids="-".join, indirect=True)
async def test_an_edit_of_such_a_series(between: Desk, edit: str, request: pytest.FixtureRequest) -> None:
    at, services = between, request.node.callspec.params["between"]
    at.put_a("year", _a_year())
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await at.app.sync(pair)
    await at.app.sync(pair)
    at.put_a("year", _a_year(*EDITS[edit]))
    with counted(at) as sent:
        await at.app.sync(pair)
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
    assert sent.writes <= 2
    told(edit, services, sent)


@pytest.mark.parametrize(
    ("between", "most"),
    [(("feed", "google"), 10), (("feed", "microsoft"), 25)],
    ids=["google", "microsoft"],
    indirect=["between"],
)
async def test_five_hundred_new_events(between: Desk, most: int, request: pytest.FixtureRequest) -> None:
    at, services = between, request.node.callspec.params["between"]
    for number in range(500):
        day, hour = divmod(number, 20)
        at.put_a(f"{number}", event(f"uid-{number}", stamp(3 + day, hour), stamp(3 + day, hour + 1)))
    pair = await at.pair(direction="a_to_b")
    with counted(at) as sent:
        report = await at.app.sync(pair)
    assert report.events_created == 500
    assert sent.writes <= most
    told("500 new events", services, sent)


@pytest.mark.parametrize("between", PAIRS, ids="-".join, indirect=True)
async def test_a_poll_without_a_change(between: Desk, request: pytest.FixtureRequest) -> None:
    at, services = between, request.node.callspec.params["between"]
    at.put_a("year", _a_year())
    at.put_b("one", event("one"))
    pair = await at.pair(sync_mode="full")
    for _ in range(2):
        await at.app.sync(pair)
    with counted(at) as sent:
        await at.app.sync(pair)
    assert (sent.requests, sent.writes) == (2, 0), "one for each connection"
    told("nothing has changed", services, sent)
