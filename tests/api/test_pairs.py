"""/sync-pairs: making, changing, deleting."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from calendarsync.accounts.keys import Mode
from calendarsync.store.tables import pairs
from tests.api.client import Client
from tests.api.world import World

URL = "/api/v1/sync-pairs"


async def stored(world: World, pair_id: str) -> dict[str, object]:
    async with world.db.read() as connection:
        return dict((await connection.execute(select(pairs).where(pairs.c.id == pair_id))).mappings().one())


async def test_created_pair_is_due_at_once_and_shows_the_options_in_effect(
    world: World, client: Client
) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    pair = await world.pair(client, a, b, options={"past_days": 7, "reminders": [10]})
    assert pair["id"].startswith("pair_")
    assert {
        "connection_a_id": a,
        "connection_b_id": b,
        "sync_mode": "blocker",
        "direction": "bidirectional",
        "status": "active",
        "last_synced_at": None,
        "mode": "live",
        "removal": None,
        "attention": None,
    }.items() <= pair.items()
    assert pair["options"] == {
        "past_days": 7,
        "future_days": 365,
        "include_free": False,
        "include_tentative": True,
        "include_unanswered": True,
        "include_all_day": True,
        "title": "Busy",
        "private_events": "blocker",
        "attendees_in_description": False,
        "color": None,
        "reminders": [10],
        "timezone": None,
        "on_copy_edited": "restore",
        "on_copy_deleted": "respect",
        "relay": False,
        "only_between": None,
        "title_contains": [],
        "title_excludes": [],
        "categories": [],
        "min_minutes": 0,
    }
    row = await stored(world, pair["id"])
    assert row["options"] == {"past_days": 7, "reminders": [10]}
    assert row["due_at"] == world.clock[0]
    assert world.runner.woken == 1
    assert (await client.get(URL)).json == {"pairs": [pair], "has_more": False}
    assert (await client.get(f"{URL}/{pair['id']}")).json == pair | {"latency": None}


WRONG_HOURS: list[tuple[object, str]] = [
    ("09:00-17:00", ""),
    ({}, ""),
    ({"timezone": "Europe/Berlin"}, ""),
    ({"from": "09:00"}, ".to"),
    ({"weekdays": ["MO"], "to": "17:00"}, ".to"),
    ({"from": "09:00", "to": "09:00"}, ".to"),
    ({"from": "9:00", "to": "17:00"}, ".from"),
    ({"from": "09:00", "to": "24:00"}, ".to"),
    ({"from": "09:00:00", "to": "17:00"}, ".from"),
    ({"weekdays": []}, ".weekdays"),
    ({"weekdays": ["mo"]}, ".weekdays.0"),
    ({"weekdays": ["MO"], "timezone": "Berlin"}, ".timezone"),
    ({"weekdays": ["MO"], "until": "17:00"}, ".until"),
]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"connection_a_id": "conn_nothere"}, "connection_a_id"),
        ({"connection_b_id": "pair_nothere"}, "connection_b_id"),
        ({"connection_b_id": 7}, "connection_b_id"),
        ({"sync_mode": "mirror"}, "sync_mode"),
        ({"direction": None}, "direction"),
        ({"colour": "red"}, "colour"),
        ({"options": {"past_day": 1}}, "options.past_day"),
        ({"options": {"past_days": "1"}}, "options.past_days"),
        ({"options": {"past_days": 1.5}}, "options.past_days"),
        ({"options": {"past_days": True}}, "options.past_days"),
        ({"options": {"past_days": -1}}, "options.past_days"),
        ({"options": {"past_days": 36_501}}, "options.past_days"),
        ({"options": {"past_days": None}}, "options.past_days"),
        ({"options": {"future_days": 0}}, "options.future_days"),
        ({"options": {"future_days": 3_651}}, "options.future_days"),
        ({"options": {"include_free": 1}}, "options.include_free"),
        ({"options": {"title": "x" * 201}}, "options.title"),
        ({"options": {"title": ""}}, "options.title"),
        ({"options": {"title": "a\nb"}}, "options.title"),
        ({"options": {"title": "[Work] {title}"}}, "options.title"),
        ({"sync_mode": "full", "options": {"title": "{title} {location}"}}, "options.title"),
        ({"sync_mode": "full", "options": {"title": "{title!r}"}}, "options.title"),
        ({"options": {"private_events": "hide"}}, "options.private_events"),
        ({"options": {"on_copy_edited": "propagate"}}, "options.on_copy_edited"),
        ({"options": {"color": "#ff0000"}}, "options.color"),
        ({"options": {"reminders": [1, 2, 3, 4, 5, 6]}}, "options.reminders"),
        ({"options": {"reminders": [40_321]}}, "options.reminders.0"),
        ({"options": {"timezone": "Berlin"}}, "options.timezone"),
        ({"options": {"timezone": "../../etc/passwd"}}, "options.timezone"),
        ({"options": []}, "options"),
        *(
            pytest.param(
                {"options": {"only_between": value}}, f"options.only_between{field}", id=f"hours-{number}"
            )
            for number, (value, field) in enumerate(WRONG_HOURS)
        ),
        ({"options": {"title_contains": "lunch"}}, "options.title_contains"),
        ({"options": {"title_contains": ["x"] * 21}}, "options.title_contains"),
        ({"options": {"title_contains": ["x", ""]}}, "options.title_contains.1"),
        ({"options": {"title_excludes": ["x" * 201]}}, "options.title_excludes.0"),
        ({"options": {"title_excludes": [" "]}}, "options.title_excludes.0"),
        ({"options": {"categories": ["a\nb"]}}, "options.categories.0"),
        ({"options": {"categories": [7]}}, "options.categories.0"),
        ({"options": {"min_minutes": -1}}, "options.min_minutes"),
        ({"options": {"min_minutes": 1441}}, "options.min_minutes"),
        ({"options": {"min_minutes": None}}, "options.min_minutes"),
    ],
)
async def test_what_is_wrong_is_named(
    world: World, client: Client, changes: dict[str, object], field: str
) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    body = {
        "connection_a_id": a,
        "connection_b_id": b,
        "sync_mode": "blocker",
        "direction": "a_to_b",
        **changes,
    }
    answer = await client.post(URL, body)
    assert answer.status == 422, answer.body
    assert answer.error["code"] == "validation_error"
    assert answer.fields == {field}
    assert answer.error["message"].startswith(f"{field}: ")
    assert (await client.get(URL)).json == {"pairs": [], "has_more": False}


async def test_a_whole_number_may_be_written_as_a_fraction(world: World, client: Client) -> None:
    """`7.0` and `7e0` are what JSON Schema calls an integer."""
    a, b = await world.connection("a"), await world.connection("b")
    pair = await world.pair(client, a, b)
    body = b'{"options": {"past_days": 7.0, "future_days": 3e1, "reminders": [10.0]}}'
    changed = await client.patch(f"{URL}/{pair['id']}", body)
    assert changed.status == 200, changed
    options = (await stored(world, pair["id"]))["options"]
    assert json.dumps(options, sort_keys=True) == '{"future_days": 30, "past_days": 7, "reminders": [10]}'


async def test_every_valid_option_is_taken(world: World, client: Client) -> None:
    options = {
        "past_days": 36_500,
        "future_days": 3_650,
        "include_free": True,
        "include_tentative": False,
        "include_unanswered": False,
        "include_all_day": False,
        "title": "[Work] {title}",
        "private_events": "skip",
        "attendees_in_description": True,
        "color": "tomato",
        "reminders": [0, 40_320],
        "timezone": "Europe/Berlin",
        "on_copy_edited": "keep",
        "on_copy_deleted": "restore",
        "relay": True,
        "only_between": {"weekdays": ["MO", "SU"], "from": "22:00", "to": "00:00", "timezone": "Asia/Tokyo"},
        "title_contains": ["Straße"],
        "title_excludes": ["x" * 200] * 20,
        "categories": ["Work"],
        "min_minutes": 1440,
    }
    a, b = await world.connection("a"), await world.connection("b")
    pair = await world.pair(client, a, b, sync_mode="full", options=options)
    assert pair["options"] == options


async def test_ids_of_other_accounts_and_modes_do_not_exist(world: World, client: Client) -> None:
    a = await world.connection("a")
    other = await world.connection("b", account_id=await world.other_account())
    test_mode = await world.connection("c", mode="test")
    for b in (other, test_mode):
        body = {"connection_a_id": a, "connection_b_id": b, "sync_mode": "blocker", "direction": "a_to_b"}
        answer = await client.post(URL, body)
        assert (answer.status, answer.error["message"]) == (422, "connection_b_id: no such connection")


async def test_a_calendar_is_not_paired_with_itself(world: World, client: Client) -> None:
    a = await world.connection("a")
    body = {"connection_a_id": a, "connection_b_id": a, "sync_mode": "blocker", "direction": "a_to_b"}
    answer = await client.post(URL, body)
    assert (answer.status, answer.fields) == (422, {"connection_b_id"})


@pytest.mark.parametrize(
    ("direction", "fields"),
    [
        ("a_to_b", {"connection_b_id"}),
        ("b_to_a", {"connection_a_id"}),
        ("bidirectional", {"connection_a_id", "connection_b_id"}),
    ],
)
async def test_a_read_only_calendar_is_no_target(
    world: World, client: Client, direction: str, fields: set[str]
) -> None:
    a, b = await world.connection("a", read_only=True), await world.connection("b", read_only=True)
    body = {"connection_a_id": a, "connection_b_id": b, "sync_mode": "blocker", "direction": direction}
    answer = await client.post(URL, body)
    assert (answer.status, answer.fields) == (422, fields)


async def test_a_read_only_calendar_may_be_a_source(world: World, client: Client) -> None:
    a, b = await world.connection("a", read_only=True), await world.connection("b")
    pair = await world.pair(client, a, b, direction="a_to_b")
    answer = await client.patch(f"{URL}/{pair['id']}", {"direction": "bidirectional"})
    assert (answer.status, answer.fields) == (422, {"connection_a_id"})


@pytest.mark.parametrize(
    ("first", "second", "swapped", "status"),
    [
        ("bidirectional", "bidirectional", False, 409),
        ("bidirectional", "bidirectional", True, 409),
        ("bidirectional", "a_to_b", True, 409),
        ("a_to_b", "a_to_b", False, 409),
        ("a_to_b", "b_to_a", True, 409),
        ("a_to_b", "b_to_a", False, 201),
        ("a_to_b", "a_to_b", True, 201),
    ],
)
async def test_an_equal_pair_is_a_conflict(
    world: World, client: Client, first: str, second: str, swapped: bool, status: int
) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    await world.pair(client, a, b, direction=first)
    ends = (b, a) if swapped else (a, b)
    body = {"connection_a_id": ends[0], "connection_b_id": ends[1], "sync_mode": "full", "direction": second}
    assert (await client.post(URL, body)).status == status


async def test_a_change_of_direction_may_conflict_with_another_pair(world: World, client: Client) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    pair = await world.pair(client, a, b, direction="a_to_b")
    await world.pair(client, a, b, direction="b_to_a")
    answer = await client.patch(f"{URL}/{pair['id']}", {"direction": "bidirectional"})
    assert (answer.status, answer.error["code"]) == (409, "conflict")
    assert (await client.patch(f"{URL}/{pair['id']}", {"direction": "a_to_b"})).status == 200


async def test_live_and_test_mode_have_pairs_of_their_own(world: World, client: Client) -> None:
    await world.pair(client, await world.connection("a"), await world.connection("b"))
    test = await world.client(mode=Mode.TEST)
    a, b = await world.connection("a", mode="test"), await world.connection("b", mode="test")
    pair = await world.pair(test, a, b)
    assert pair["mode"] == "test"
    assert [each["id"] for each in (await test.get(URL)).json["pairs"]] == [pair["id"]]
    assert (await client.get(f"{URL}/{pair['id']}")).status == 404


async def test_pause_and_resume(world: World, client: Client) -> None:
    pair = await world.pair(client, await world.connection("a"), await world.connection("b"))
    url = f"{URL}/{pair['id']}"
    later = (world.clock[0] + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    answer = await client.patch(url, {"status": "paused", "resume_at": later})
    assert (answer.json["status"], answer.json["resume_at"]) == ("paused", later)
    assert (await client.patch(url, {"resume_at": None})).json["resume_at"] is None
    now = world.tick()
    answer = await client.patch(url, {"status": "active"})
    assert (answer.json["status"], answer.json["resume_at"]) == ("active", None)
    assert (await stored(world, pair["id"]))["due_at"] == now
    assert world.runner.woken == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"resume_at": "2026-03-28T12:00:00Z"},
        {"status": "active", "resume_at": "2026-03-28T12:00:00Z"},
        {"status": "paused", "resume_at": "2026-03-28T09:00:00Z"},
        {"status": "paused", "resume_at": "2026-03-28T12:00:00"},
        {"status": "paused", "resume_at": "2026-02-30T12:00:00Z"},
        {"status": "paused", "resume_at": 1774699200},
        {"status": "paused", "resume_at": "0001-01-01T00:00:00+14:00"},
    ],
)
async def test_resume_at_must_make_sense(world: World, client: Client, changes: dict[str, object]) -> None:
    pair = await world.pair(client, await world.connection("a"), await world.connection("b"))
    answer = await client.patch(f"{URL}/{pair['id']}", changes)
    assert (answer.status, answer.fields) == (422, {"resume_at"})


@pytest.mark.rule(8)
async def test_hours_are_shown_in_full_and_what_is_shown_is_taken(world: World, client: Client) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    hours = {"weekdays": ["FR", "MO", "MO"], "from": "09:00", "to": "17:00"}
    pair = await world.pair(client, a, b, options={"only_between": hours, "title_contains": ["x"]})
    shown = pair["options"]["only_between"]
    assert shown == {"weekdays": ["MO", "FR"], "from": "09:00", "to": "17:00", "timezone": None}
    url = f"{URL}/{pair['id']}"
    assert (await client.patch(url, {"options": pair["options"]})).json["options"] == pair["options"]
    off = {"only_between": None, "title_contains": None, "title_excludes": [], "categories": None}
    answer = await client.patch(url, {"options": off})
    told = {"only_between": None, "title_contains": [], "title_excludes": [], "categories": []}
    assert answer.json["options"] | told == answer.json["options"]
    days = {"weekdays": ["SA", "SU"]}
    shown = (await client.patch(url, {"options": {"only_between": days}})).json["options"]["only_between"]
    assert shown == {"weekdays": ["SA", "SU"], "from": None, "to": None, "timezone": None}


@pytest.mark.rule(8)
async def test_what_is_wrong_with_a_filter_is_told_without_its_words(world: World, client: Client) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    pair = await world.pair(client, a, b)
    for value in ("secretword\n", "secretword" * 21):
        answer = await client.patch(f"{URL}/{pair['id']}", {"options": {"title_contains": [value]}})
        assert (answer.status, b"secretword" in answer.body) == (422, False)


async def test_options_are_merged_and_null_gives_back_the_default(world: World, client: Client) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    pair = await world.pair(client, a, b, options={"title": "Away", "past_days": 3})
    url = f"{URL}/{pair['id']}"
    answer = await client.patch(url, {"options": {"title": None, "color": "Red"}})
    assert (
        answer.json["options"] | {"title": "Busy", "past_days": 3, "color": "red"} == answer.json["options"]
    )
    assert (await stored(world, pair["id"]))["options"] == {"past_days": 3, "color": "red"}


async def test_a_title_must_fit_the_new_mode(world: World, client: Client) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    pair = await world.pair(client, a, b, sync_mode="full", options={"title": "[Work] {title}"})
    url = f"{URL}/{pair['id']}"
    answer = await client.patch(url, {"sync_mode": "blocker"})
    assert (answer.status, answer.fields) == (422, {"options.title"})
    answer = await client.patch(url, {"sync_mode": "blocker", "options": {"title": None}})
    assert answer.json["options"]["title"] == "Busy"


@pytest.mark.rule(17)
async def test_rule_17_edits_travel_back_in_full_mode_alone(world: World, client: Client) -> None:
    a, b = await world.connection("a"), await world.connection("b")
    pair = await world.pair(client, a, b, sync_mode="full", options={"on_copy_edited": "propagate"})
    assert pair["options"]["on_copy_edited"] == "propagate"
    url = f"{URL}/{pair['id']}"
    answer = await client.patch(url, {"sync_mode": "blocker"})
    assert (answer.status, answer.fields) == (422, {"options.on_copy_edited"})
    answer = await client.patch(url, {"sync_mode": "blocker", "options": {"on_copy_edited": "keep"}})
    assert answer.json["options"]["on_copy_edited"] == "keep"
    answer = await client.patch(url, {"options": {"on_copy_edited": "propagate"}})
    assert (answer.status, answer.fields) == (422, {"options.on_copy_edited"})


async def test_activating_takes_the_attention_away(world: World, client: Client) -> None:
    pair = await world.pair(client, await world.connection("a"), await world.connection("b"))
    example = {"event_id": "1.ics", "original_start": "", "copy_id": "cs1", "start": "2026-03-04T08:00:00Z"}
    details = {"direction": "a_to_b", "copies": 12, "out_of": 12, "examples": [example]}
    async with world.db.write() as connection:
        await connection.execute(
            pairs.update().values(
                status="needs_attention",
                attention_code="emptied",
                attention_message="12 events",
                attention_details=details,
            )
        )
    url = f"{URL}/{pair['id']}"
    told = (await client.get(url)).json["attention"]
    assert told == {"code": "emptied", "message": "12 events", "details": details}
    answer = await client.patch(url, {"status": "active"})
    assert (answer.json["status"], answer.json["attention"]) == ("active", None)
    assert (await stored(world, pair["id"]))["attention_details"] is None


async def test_a_change_of_nothing_starts_nothing(world: World, client: Client) -> None:
    pair = await world.pair(client, await world.connection("a"), await world.connection("b"))
    for body in ({}, {"status": "active"}, {"direction": "bidirectional", "options": {}}):
        assert (await client.patch(f"{URL}/{pair['id']}", body)).json == pair
    assert world.runner.woken == 1


@pytest.mark.parametrize("field", ["connection_a_id", "id", "mode", "unknown"])
async def test_what_cannot_be_changed_is_refused(world: World, client: Client, field: str) -> None:
    pair = await world.pair(client, await world.connection("a"), await world.connection("b"))
    answer = await client.patch(f"{URL}/{pair['id']}", {field: "x"})
    assert (answer.status, answer.fields) == (422, {field})


async def test_delete_removes_the_copies_first(world: World, client: Client) -> None:
    pair = await world.pair(client, await world.connection("a"), await world.connection("b"))
    url = f"{URL}/{pair['id']}"
    assert (await client.delete(url)).status == 204
    assert world.runner.asked == [(pair["id"], {"remove": "remove"})]
    assert (await client.get(url)).status == 404
    assert (await client.delete(url)).status == 404


@pytest.mark.parametrize(("query", "removal"), [("", "remove"), ("?keep_copies=true", "keep")])
async def test_a_removal_that_takes_its_time_stays_pending(
    world: World, client: Client, query: str, removal: str
) -> None:
    pair = await world.pair(client, await world.connection("a"), await world.connection("b"))
    url = f"{URL}/{pair['id']}"
    world.runner.stuck = True
    answer = await client.delete(url + query)
    assert (answer.status, answer.json["removal"]) == (202, "pending")
    assert (await stored(world, pair["id"]))["removal"] == removal
    assert (await client.get(url)).json["removal"] == "pending"
    assert (await client.patch(url, {"status": "paused"})).status == 409
    assert (await client.post(f"{url}/trigger")).status == 409
    assert (await client.delete(f"{url}?abandon=true")).status == 204
    assert (await client.get(url)).status == 404


async def test_a_removal_that_fails_stays_pending(world: World, client: Client) -> None:
    pair = await world.pair(client, await world.connection("a"), await world.connection("b"))
    world.runner.cannot_remove = True
    answer = await client.delete(f"{URL}/{pair['id']}")
    assert (answer.status, answer.json["removal"]) == (202, "pending")
