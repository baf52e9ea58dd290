"""/availability: busy times over calendars, from the index alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert

from calendarsync.accounts.keys import Mode
from calendarsync.accounts.scopes import Scope
from calendarsync.api.v1 import availability
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.link import Direction, Link, LinkState
from calendarsync.domain.origin import copy_id, origin_of, write_mark
from calendarsync.providers.icalendar import MARK_PROPERTY, read_resource
from calendarsync.store import index, links
from calendarsync.store.tables import connections, kept_copies
from tests.api.client import Client
from tests.api.world import World
from tests.testbed.events import event, vcalendar, vevent

URL = "/api/v1/availability"
MARCH = "from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z"
OWNER = frozenset({"alice@example.com"})


async def hold(world: World, connection_id: str, *events: str) -> None:
    """Make the index hold these events, as a reading does."""
    fingerprinter = Fingerprinter(world.services.keyring.fingerprint_key)
    resources = [
        read_resource(f"{number}.ics", "1", text.encode(), owner=OWNER) for number, text in enumerate(events)
    ]
    async with world.db.write() as db:
        version = await index.next_version(db, connection_id)
        await index.store_resources(db, connection_id, resources, fingerprinter, version, now=world.db.now())
        await db.execute(
            connections.update().where(connections.c.id == connection_id).values(cursor='{"program": "1"}')
        )


async def busy(client: Client, query: str = "", span: str = MARCH) -> list[tuple[str, str]]:
    answer = await client.get(f"{URL}?{span}{query}")
    assert answer.status == 200, answer.body
    return [(each["start"], each["end"]) for each in answer.json["busy"]]


NINE = ("2026-03-04T08:00:00Z", "2026-03-04T09:00:00Z")
NINE_TO_ELEVEN = ("2026-03-04T08:00:00Z", "2026-03-04T10:00:00Z")


async def test_busy_times_of_all_calendars_are_merged(world: World, client: Client) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    await hold(
        world,
        a,
        event("one"),
        event("series", "20260328T230000", "20260329T010000", extra="RRULE:FREQ=DAILY;COUNT=2"),
    )
    await hold(world, b, event("one"), event("two", "20260304T093000", "20260304T110000"))
    answer = await client.get(f"{URL}?{MARCH}")
    assert answer.json == {
        "busy": [
            {"start": "2026-03-04T08:00:00Z", "end": "2026-03-04T10:00:00Z"},
            {"start": "2026-03-28T22:00:00Z", "end": "2026-03-29T00:00:00Z"},
            {"start": "2026-03-29T21:00:00Z", "end": "2026-03-29T23:00:00Z"},
        ],
        "connections": [
            {
                "id": each,
                "status": "active",
                "last_synced_at": None,
                "known": True,
                "unreadable_events": 0,
            }
            for each in (a, b)
        ],
    }


async def test_connections_that_are_named_count_alone(world: World, client: Client) -> None:
    a, b, c = [await world.connection(name) for name in "abc"]
    await hold(world, a, event("one"))
    await hold(world, b, event("two", "20260304T100000", "20260304T110000"))
    await hold(world, c, event("three", "20260305T100000", "20260305T110000"))
    assert await busy(client, f"&connection_id={a}") == [NINE]
    assert await busy(client, f"&connection_id={b}&connection_id={a}") == [NINE_TO_ELEVEN]
    answer = await client.get(f"{URL}?{MARCH}&connection_id={b}&connection_id={a}&connection_id={b}")
    assert [each["id"] for each in answer.json["connections"]] == [b, a]


async def test_rules_1_and_2_copies_do_not_count(world: World, client: Client) -> None:
    """Ours by their mark, another installation's, and those whose mark was stripped but whose link stands."""
    a, b = await world.connection("a"), await world.connection("b")
    pair = await world.pair(client, a, b)

    def copy(number: int, key: bytes | None) -> tuple[str, str]:
        origin = origin_of("key-a", f"{number}.ics")
        mark = f"{MARK_PROPERTY}:{write_mark(key, origin, 0, '0' * 32, 'key-b')}" if key else ""
        uid = copy_id(origin, "key-b", 0)
        return uid, event(uid, f"2026030{number}T090000", f"2026030{number}T100000", extra=mark)

    _, ours = copy(1, world.services.keyring.mark_keys[0])
    _, foreign = copy(2, b"x" * 32)
    stripped_id, stripped = copy(3, None)
    kept_id, kept = copy(4, None)
    _, stray = copy(5, None)
    moved = event(
        "stray", "20260306T090000", "20260306T100000", extra=ours.split("SUMMARY")[1].split("\r\n")[1]
    )
    async with world.db.write() as db:
        linked = [
            Link(Direction.A_TO_B, f"{copy}.ics", "", "u", "o", "key-b", copy, 0, LinkState.LIVE)
            for copy in (stripped_id, kept_id)
        ]
        await links.save_links(db, pair["id"], linked)
        await db.execute(insert(kept_copies).values(calendar_key="key-b", copy_id=kept_id))
    await hold(world, b, ours, foreign, stripped, kept, stray, moved)
    assert await busy(client) == [
        (f"2026-03-0{day}T08:00:00Z", f"2026-03-0{day}T09:00:00Z") for day in (4, 5, 6)
    ], "what a removed pair left behind, what no link knows, and what a person pasted elsewhere"


async def test_rule_6_what_blocks_no_time(world: World, client: Client) -> None:
    a = await world.connection("a")
    declined = "ORGANIZER:mailto:bob@example.com\nATTENDEE;PARTSTAT=DECLINED:mailto:alice@example.com"
    weekly = vevent("weekly", "20260309T090000", "20260309T100000", extra="RRULE:FREQ=WEEKLY;COUNT=3")
    cancelled = vevent(
        "weekly",
        "20260316T090000",
        "20260316T100000",
        extra="RECURRENCE-ID;TZID=Europe/Berlin:20260316T090000\nSTATUS:CANCELLED",
    )
    await hold(
        world,
        a,
        event("free", extra="TRANSP:TRANSPARENT"),
        event("cancelled", extra="STATUS:CANCELLED"),
        event("declined", extra=declined),
        vcalendar(weekly, cancelled),
    )
    assert await busy(client) == [
        (f"2026-03-{day:02}T08:00:00Z", f"2026-03-{day:02}T09:00:00Z") for day in (9, 23)
    ]


async def test_days_and_floating_times_are_read_in_the_calendars_zone_first(
    world: World, client: Client
) -> None:
    in_tokyo, anywhere = await world.connection("a", timezone="Asia/Tokyo"), await world.connection("b")
    for connection_id in (in_tokyo, anywhere):
        await hold(
            world,
            connection_id,
            event("day", "20260304", "20260305"),
            event("floating", "20260310T090000", "20260310T100000", zone=None),
        )
    tokyo = [
        ("2026-03-03T15:00:00Z", "2026-03-04T15:00:00Z"),
        ("2026-03-10T00:00:00Z", "2026-03-10T01:00:00Z"),
    ]
    assert await busy(client, f"&connection_id={in_tokyo}&timezone=America/New_York") == tokyo
    assert await busy(client, f"&connection_id={anywhere}&timezone=America/New_York") == [
        ("2026-03-04T05:00:00Z", "2026-03-05T05:00:00Z"),
        ("2026-03-10T13:00:00Z", "2026-03-10T14:00:00Z"),
    ]
    assert await busy(client, f"&connection_id={anywhere}") == [
        ("2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z"),
        ("2026-03-10T09:00:00Z", "2026-03-10T10:00:00Z"),
    ]


async def test_the_span_cuts_and_may_be_given_in_any_zone(world: World, client: Client) -> None:
    await hold(world, await world.connection("a"), event("one"))
    span = "from=2026-03-04T09:15:00%2B01:00&to=2026-03-04T03:45:00-05:00"
    assert await busy(client, span=span) == [("2026-03-04T08:15:00Z", "2026-03-04T08:45:00Z")]
    assert await busy(client, span="from=2026-03-04T09:00:00Z&to=2026-03-04T10:00:00Z") == []


async def test_what_is_known_of_a_calendar_is_told(world: World, client: Client) -> None:
    fresh = await world.connection("a")
    broken = await world.connection("b", status="expired", last_synced_at=datetime(2026, 3, 1, tzinfo=UTC))
    await hold(
        world, broken, event("one"), "BEGIN:VCALENDAR\nBEGIN:VEVENT\n", event("x", extra="RRULE:FREQ=NEVER")
    )
    found: list[dict[str, Any]] = (await client.get(f"{URL}?{MARCH}")).json["connections"]
    assert found == [
        {
            "id": fresh,
            "status": "active",
            "last_synced_at": None,
            "known": False,
            "unreadable_events": 0,
        },
        {
            "id": broken,
            "status": "expired",
            "last_synced_at": "2026-03-01T00:00:00Z",
            "known": True,
            "unreadable_events": 2,
        },
    ]
    assert await busy(client) == [NINE]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("to=2026-03-01T00:00:00Z", "from"),
        ("from=2026-03-01T00:00:00Z", "to"),
        ("from=2026-03-01&to=2026-03-02T00:00:00Z", "from"),
        ("from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z", "to"),
        ("from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "to"),
        ("from=2026-03-01T00:00:00Z&to=2027-03-02T00:00:01Z", "to"),
        ("from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z", "to"),
        (f"{MARCH}&timezone=Mars/Olympus", "timezone"),
        (f"{MARCH}&timezone=..%2F..%2Fetc%2Fpasswd", "timezone"),
        (f"{MARCH}&timezone=UTC&timezone=UTC", "timezone"),
        (f"{MARCH}&connection_id=conn_nothere", "connection_id"),
        (f"{MARCH}&connection_id=", "connection_id"),
        (f"{MARCH}&connection_id=%00", "connection_id.0"),
        (f"{MARCH}" + "&connection_id=conn_a" * 101, "connection_id"),
        (f"{MARCH}&connection=conn_a", "connection"),
    ],
)
async def test_what_is_wrong_is_named(client: Client, query: str, field: str) -> None:
    answer = await client.get(f"{URL}?{query}")
    assert (answer.status, answer.fields) == (422, {field}), answer.body


async def test_at_the_ends_of_time_nothing_breaks(world: World, client: Client) -> None:
    await hold(world, await world.connection("a"), event("one", extra="RRULE:FREQ=DAILY"))
    assert len(await busy(client, span="from=9999-01-01T00:00:00Z&to=9999-12-31T23:59:59Z")) > 300
    assert await busy(client, span="from=0001-01-01T00:00:00Z&to=0001-12-31T00:00:00Z") == []


async def test_other_accounts_and_the_other_mode_see_nothing(world: World, client: Client) -> None:
    a = await world.connection("a")
    await hold(world, a, event("one"))
    stranger = await world.client(account_id=await world.other_account())
    for other in (stranger, await world.client(mode=Mode.TEST)):
        assert (await other.get(f"{URL}?{MARCH}")).json == {"busy": [], "connections": []}
        answer = await other.get(f"{URL}?{MARCH}&connection_id={a}")
        assert (answer.status, answer.fields) == (422, {"connection_id"})
    reader = await world.client(scopes=(Scope.CONNECTIONS_READ,))
    assert await busy(reader) == [NINE]


async def test_what_would_take_too_long_is_refused(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    for connection_id in (a, b):
        await hold(world, connection_id, event("daily", extra="RRULE:FREQ=DAILY"))
    monkeypatch.setattr(availability, "MAX_INSTANCES", 55)
    answer = await client.get(f"{URL}?{MARCH}")
    assert (answer.status, answer.fields) == (422, {"to"}), "28 in each"
    assert len(await busy(client, f"&connection_id={a}")) == 28
    monkeypatch.setattr(availability, "MAX_INSTANCES", 56)
    with monkeypatch.context() as hurried:
        hurried.setattr(availability, "MAX_SECONDS", 0.0)
        answer = await client.get(f"{URL}?{MARCH}")
        assert (answer.status, answer.fields) == (422, {"to"})
    monkeypatch.setattr(availability, "MAX_EVENTS", 1)
    answer = await client.get(f"{URL}?{MARCH}")
    assert (answer.status, answer.fields) == (422, {"connection_id"})
    monkeypatch.setattr(availability, "MAX_CONNECTIONS", 1)
    answer = await client.get(f"{URL}?{MARCH}")
    assert (answer.status, answer.fields) == (422, {"connection_id"})
