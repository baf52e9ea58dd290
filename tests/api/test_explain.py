"""GET /sync-pairs/{id}/explain: what may be asked, of whose pairs, and what the answer holds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from calendarsync.accounts.keys import Mode
from calendarsync.accounts.scopes import Scope
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.providers.icalendar import read_resource
from calendarsync.store import index
from calendarsync.store.tables import connections, pairs
from calendarsync.sync.explaining import Answer, explain
from tests.api.client import Client
from tests.api.routes import check_error
from tests.api.world import World
from tests.testbed.events import event

URL = "/api/v1/sync-pairs"


async def hold(world: World, connection_id: str, events: Mapping[str, str]) -> None:
    """Make the index hold these events, as a reading does."""
    fingerprinter = Fingerprinter(world.services.keyring.fingerprint_key)
    resources = [read_resource(name, "1", text.encode()) for name, text in events.items()]
    async with world.db.write() as db:
        version = await index.next_version(db, connection_id)
        now = world.clock[0]
        await index.store_resources(db, connection_id, resources, fingerprinter, version, now=now)
        read = connections.update().where(connections.c.id == connection_id)
        await db.execute(read.values(cursor='{"program": "1"}'))


async def explained(client: Client, pair: str, query: str) -> Any:
    answer = await client.get(f"{URL}/{pair}/explain?{query}")
    assert answer.status == 200, answer.body
    return answer.json


@pytest.fixture
async def pair(world: World, client: Client) -> str:
    a, b = await world.connection("a"), await world.connection("b")
    return str((await world.pair(client, a, b))["id"])


async def ends(world: World, pair: str) -> tuple[str, str]:
    async with world.db.read() as db:
        row = (await db.execute(pairs.select().where(pairs.c.id == pair))).one()
    return row.connection_a_id, row.connection_b_id


async def test_an_answer_as_the_contract_shows_it(world: World, client: Client, pair: str) -> None:
    a, b = await ends(world, pair)
    await hold(
        world, a, {"one.ics": event("one", "20260330T090000", "20260330T100000", extra="TRANSP:TRANSPARENT")}
    )
    told = await explained(client, pair, "event_id=one.ics")
    assert told["explanations"] == [
        {
            "event_id": "one.ics",
            "role": "source",
            "decision": "skip",
            "rule": 6,
            "reason": "free",
            "explanation": "It is shown as free.",
            "remedy": "Show it as busy, or set the pair's `include_free`.",
            "connection_id": a,
            "direction": "a_to_b",
            "original_start": "",
            "starts_at": "2026-03-30T07:00:00Z",
            "copy_id": None,
            "source_id": None,
            "since": f"{world.clock[0]:%Y-%m-%dT%H:%M:%SZ}",
            "retry_at": None,
        }
    ]
    assert [each["reason"] for each in told["problems"]] == ["never_synced"]
    assert [(each["connection_id"], each["known"]) for each in told["calendars"]] == [(a, True), (b, False)]
    assert told["window"] == {"first": "2026-03-27", "last": "2027-03-28"}
    assert told["operations"] == []
    assert told["has_more"] is False


@pytest.mark.parametrize(
    "moment", ["2026-03-30T07:30Z", "2026-03-30t07:30:00z", "2026-03-30T09:30:00%2B02:00"]
)
async def test_a_moment_in_each_spelling(world: World, client: Client, pair: str, moment: str) -> None:
    a, b = await ends(world, pair)
    here = event("one", "20260330T090000", "20260330T100000")
    elsewhere = event("two", "20260330T103000", "20260330T110000")
    await hold(world, a, {"one.ics": here, "two.ics": elsewhere})
    await hold(world, b, {"day.ics": event("day", "20260330", "20260331")})
    told = await explained(client, pair, f"at={moment}")
    assert [each["event_id"] for each in told["explanations"]] == ["one.ics", "day.ics"]


WRONG = [
    ("", {"event_id", "at"}),
    ("event_id=one&at=2026-03-30T07:30Z", {"event_id", "at"}),
    ("event_id=", {"event_id"}),
    (f"event_id={'x' * 1101}", {"event_id"}),
    ("event_id=%00", {"event_id"}),
    *((f"at={each}", {"at"}) for each in ("now", "2026-03-30", "2026-03-30T07:30", "2026-02-30T07:30Z")),
    *((f"at={each}", {"at"}) for each in ("2026-03-30T25:00Z", "1066-10-14T09:00Z", "9999-12-31T23:59:59Z")),
    ("at=2026-03-30T07:30Z&at=2026-03-31T07:30Z", {"at"}),
]


@pytest.mark.parametrize(
    ("query", "fields"), WRONG, ids=lambda each: str(each)[:40] if isinstance(each, str) else ""
)
async def test_what_cannot_be_asked(client: Client, pair: str, query: str, fields: set[str]) -> None:
    answer = await client.get(f"{URL}/{pair}/explain?{query}")
    check_error(answer, 422, "validation_error")
    assert answer.fields == fields


@pytest.mark.parametrize("name", ["99991231T235959Z", "99991231", "00010101T000000Z", "00010101"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
async def test_an_instance_at_the_ends_of_time(
    world: World, client: Client, pair: str, name: str, zone: str
) -> None:
    a, _ = await ends(world, pair)
    async with world.db.write() as db:
        await db.execute(update(connections).where(connections.c.id == a).values(timezone=zone))
    daily = {
        "timed": event("timed", "20260330T090000", "20260330T100000", extra="RRULE:FREQ=DAILY"),
        "day": event("day", "20260330", "20260331", extra="RRULE:FREQ=DAILY"),
    }
    await hold(world, a, daily)
    for series in daily:
        (told,) = (await explained(client, pair, f"event_id={series}_{name}"))["explanations"]
        assert told["reason"] in {"no_such_instance", "outside_window"}


async def test_a_flood_of_questions_leaves_the_runs_their_threads(
    world: World, client: Client, pair: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked at once, two pairs are planned at once, and all questions are answered."""
    at_once: list[int] = []
    planned = asyncio.Event()

    async def slowly(*given: Any, **more: Any) -> Answer | None:
        at_once.append(1 + at_once[-1] if at_once else 1)
        if at_once[-1] == 2:
            planned.set()
        await asyncio.wait_for(planned.wait(), 20)
        answer = await explain(*given, **more)
        at_once.append(at_once[-1] - 1)
        return answer

    monkeypatch.setattr("calendarsync.api.v1.explain.explain", slowly)
    asked = [client.get(f"{URL}/{pair}/explain?event_id=one") for _ in range(6)]
    assert [answer.status for answer in await asyncio.gather(*asked)] == [200] * 6
    assert max(at_once) == 2


async def test_the_answer_is_bounded(world: World, client: Client, pair: str) -> None:
    a, _ = await ends(world, pair)
    many = {
        f"{number:03}.ics": event(f"e{number}", "20260330T090000", "20260330T100000") for number in range(101)
    }
    await hold(world, a, many)
    told = await explained(client, pair, "at=2026-03-30T07:30Z")
    assert (len(told["explanations"]), told["has_more"]) == (100, True)


async def test_what_ails_the_pair_as_a_whole(world: World, client: Client, pair: str) -> None:
    a, b = await ends(world, pair)
    later = world.clock[0] + timedelta(hours=1)
    async with world.db.write() as db:
        waits = {
            "not_before": later,
            "last_error_code": "provider_rate_limited",
            "last_error_message": "Later.",
        }
        await db.execute(update(connections).where(connections.c.id == a).values(waits))
        expired = {"status": "expired", "last_error_code": "not_authorized", "last_error_message": "Refused."}
        await db.execute(update(connections).where(connections.c.id == b).values(expired))
        stopped = {
            "status": "error",
            "attention_code": "not_authorized",
            "attention_message": f"{b}: Refused.",
        }
        await db.execute(update(pairs).where(pairs.c.id == pair).values(stopped))
    told = (await explained(client, pair, "event_id=nothing"))["problems"]
    assert [(each["reason"], each["connection_id"], each["message"]) for each in told] == [
        ("not_authorized", None, f"{b}: Refused."),
        ("never_synced", None, None),
        ("provider_rate_limited", a, "Later."),
        ("not_authorized", b, "Refused."),
    ]
    assert told[2]["until"] == f"{later:%Y-%m-%dT%H:%M:%SZ}"


async def test_the_key_needs_the_scope_of_logs(world: World, pair: str) -> None:
    client = await world.client(scopes=tuple(set(Scope) - {Scope.LOGS_READ}))
    check_error(await client.get(f"{URL}/{pair}/explain?event_id=one"), 403, "forbidden")


async def test_others_are_told_nothing(world: World, pair: str) -> None:
    other = await world.client(account_id=await world.other_account())
    check_error(await other.get(f"{URL}/{pair}/explain?event_id=one"), 404, "not_found")
    test_mode = await world.client(mode=Mode.TEST)
    check_error(await test_mode.get(f"{URL}/{pair}/explain?event_id=one"), 404, "not_found")
