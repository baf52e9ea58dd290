"""Situations in which an event is not where somebody expected it: the answer to `explain` alone says why.

Each builds its state with the engine, and asks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from calendarsync.domain.event import EventType, Resource
from calendarsync.providers.base import NotAuthorized, Refused
from calendarsync.providers.icalendar import read_resource
from calendarsync.store.tables import links
from tests.sync.explaining import Told, ask, told, troubles
from tests.sync.helpers import WEEKLY, delete_instance, empty_unnamed, fill, only, second_account
from tests.testbed.events import event
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk, utc

AT_NINE = utc("2026-03-04T08:30")
"""While the usual event of tests/testbed/events.py takes place."""

SKIPPED: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "free": (event("one", extra="TRANSP:TRANSPARENT"), {}, 6, "free"),
    "declined": (
        event("one", extra="ATTENDEE;PARTSTAT=DECLINED:mailto:alice@work.example"),
        {},
        6,
        "declined",
    ),
    "cancelled": (event("one", extra="STATUS:CANCELLED"), {}, 6, "cancelled"),
    "tentative": (event("one", extra="STATUS:TENTATIVE"), {"include_tentative": False}, 6, "tentative"),
    "unanswered": (
        event("one", extra="ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:alice@work.example"),
        {"include_unanswered": False},
        6,
        "unanswered",
    ),
    "all-day": (event("one", "20260304", "20260305"), {"include_all_day": False}, 6, "all_day"),
    "private": (
        event("one", extra="CLASS:PRIVATE"),
        {"sync_mode": "full", "private_events": "skip"},
        10,
        "private",
    ),
    "before the window": (event("one", "20260201T090000", "20260201T100000"), {}, 7, "outside_window"),
    "behind the window": (event("one", "20290304T090000", "20290304T100000"), {}, 7, "outside_window"),
    "outside the hours": (
        event("one"),
        {"only_between": {"from": "18:00", "to": "23:00"}},
        8,
        "outside_hours",
    ),
    "title not asked for": (event("one"), {"title_contains": ["client"]}, 8, "title_not_matching"),
    "title not wanted": (event("one"), {"title_excludes": ["plan"]}, 8, "title_excluded"),
    "category not asked for": (event("one"), {"categories": ["work"]}, 8, "category_not_matching"),
    "too short": (event("one"), {"min_minutes": 90}, 8, "too_short"),
    "unreadable": (event("one").replace("DTSTART", "DTSTRAT"), {}, 22, "no_start"),
    "unknown zone": (event("one", zone="Nowhere/Land"), {}, 11, "unknown_zone"),
    "too many instances": (event("one", extra="RRULE:FREQ=SECONDLY"), {}, 22, "too_many_instances"),
    "a task": (event("one").replace("VEVENT", "VTODO"), {}, 22, "no_event"),
}
"""An event, the options of the pair, and the rule and the reason for which it is not copied."""

Build = Callable[[MemoryDesk, pytest.MonkeyPatch], Awaitable[None]]
SITUATIONS: dict[str, Build] = {}


def situation(build: Build) -> Build:
    SITUATIONS[build.__name__.replace("_", " ")] = build
    return build


@pytest.fixture
async def at(quick_folder: Path) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(quick_folder) as made:
        yield made


@pytest.mark.parametrize("name", SKIPPED)
async def test_an_event_that_is_not_to_be_copied(at: MemoryDesk, name: str) -> None:
    data, options, rule, reason = SKIPPED[name]
    at.store("a").put("one.ics", data)
    pair = await at.pair(direction="a_to_b", **options)
    await at.app.run(pair)
    answer = await ask(at, pair, "one.ics")
    assert told(answer.explanations) == [("source", "skip", rule, reason)]
    assert answer.explanations[0].since is not None


def test_there_are_enough() -> None:
    assert len(SKIPPED) + len(SITUATIONS) >= 25


async def _synced(at: MemoryDesk, data: str | None = None, **given: Any) -> str:
    at.store("a").put("one.ics", data or event("one"))
    pair = await at.pair(**{"direction": "a_to_b", **given})
    await at.app.sync(pair)
    return pair


async def _told(at: MemoryDesk, pair: str, question: Any = "one.ics") -> list[Told]:
    return told((await ask(at, pair, question)).explanations)


@situation
async def in_step(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    copy = only(at)[0].removesuffix(".ics")
    answer = await ask(at, pair, "one")
    assert told(answer.explanations) == [("source", "none", 15, "in_step")]
    assert answer.explanations[0].copy_id == copy
    assert troubles(answer) == []
    (about_copy, *_) = (await ask(at, pair, copy)).explanations
    assert (about_copy.role, about_copy.reason, about_copy.source_id) == ("copy", "in_step", "one.ics")


@situation
async def waits_for_the_next_run(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    await at.app.run(pair, dry_run=True)
    answer = await ask(at, pair, "one.ics")
    assert told(answer.explanations) == [("source", "create", 6, "new")]
    assert "next run" in answer.explanations[0].text
    assert troubles(answer) == [(27, "never_synced")]


@situation
async def never_read(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair()
    answer = await ask(at, pair, "one.ics")
    assert told(answer.explanations) == [("source", "none", 27, "never_read")]
    assert troubles(answer) == [(27, "never_synced")]


@situation
async def not_in_the_index(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    assert await _told(at, pair, "another.ics") == [("source", "none", 26, "not_in_index")]


@situation
async def deleted_at_the_source(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    copy = only(at)[0].removesuffix(".ics")
    at.app.clock.advance(seconds=1)
    at.store("a").delete("one.ics")
    await at.app.sync(pair)
    answer = await ask(at, pair, "one.ics")
    assert told(answer.explanations) == [("source", "none", 16, "source_deleted")]
    assert [row["action"] for row in answer.operations] == ["delete", "create"]
    (about_copy,) = (await ask(at, pair, copy)).explanations
    assert (about_copy.role, about_copy.reason, about_copy.source_id) == ("copy", "source_deleted", "one.ics")


@situation
async def deleted_at_the_source_a_moment_ago(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    at.store("a").delete("one.ics")
    await at.app.run(pair, dry_run=True)
    assert await _told(at, pair) == [("source", "delete", 16, "source_deleted")]


@situation
async def both_gone_between_two_readings(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    at.store("b").delete(only(at)[0])
    at.store("a").delete("one.ics")
    await at.app.run(pair, dry_run=True)
    assert await _told(at, pair) == [("source", "forget", 16, "source_deleted")]


@situation
async def declined_after_it_was_copied(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    at.store("a").put("one.ics", SKIPPED["declined"][0])
    await at.app.run(pair, dry_run=True)
    declined = ("source", "skip", 6, "declined"), ("source", "delete", 6, "declined")
    assert await _told(at, pair) == [*declined]


@situation
async def history_behind_the_window(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    at.app.clock.advance(days=30)
    assert await _told(at, pair) == [
        ("source", "skip", 7, "outside_window"),
        ("source", "none", 7, "history"),
    ]
    assert await _told(at, pair, only(at)[0]) == [("copy", "none", 7, "history")]


@situation
async def the_same_meeting_in_the_other_calendar(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    at.store("b").put("mine.ics", event("one"))
    pair = await _synced(at)
    assert await _told(at, pair) == [("source", "skip", 5, "same_meeting")]


@situation
async def copied_already_by_another_accounts_pair(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    """Of the other account nothing is told but that there is a copy."""
    await _synced(at)
    a, b = await second_account(at)
    pair = await at.app.pair(a, b)
    await at.app.sync(pair)
    assert await _told(at, pair) == [("source", "skip", 3, "copied_already")]
    (about_copy,) = (await ask(at, pair, only(at)[0])).explanations
    assert told([about_copy]) == [("copy", "none", 2, "another_pairs_copy")]
    assert about_copy.source_id is None
    assert not (await ask(at, pair, only(at)[0])).operations


@situation
async def a_person_deleted_the_copy(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    copy = only(at)[0]
    at.store("b").delete(copy)
    await at.app.sync(pair)
    deleted = [("source", "skip", 17, "copy_deleted_by_person")]
    assert await _told(at, pair) == deleted
    assert await _told(at, pair, copy.removesuffix(".ics")) == deleted


@situation
async def a_person_deleted_an_instance_of_the_copy(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at, event("one", extra=WEEKLY))
    resource, data = only(at)
    at.store("b").put(resource, delete_instance(data, "20260311T090000"))
    await at.app.sync(pair)
    deleted = [("source", "skip", 17, "copy_deleted_by_person")]
    assert await _told(at, pair, utc("2026-03-11T08:30")) == deleted
    assert await _told(at, pair, "one_20260311T080000Z") == deleted
    assert await _told(at, pair, "one_20260318T080000Z") == [("source", "none", 15, "in_step")]


@situation
async def an_instance_was_taken_out_of_the_series(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    out = f"{WEEKLY}\nEXDATE;TZID=Europe/Berlin:20260311T090000"
    pair = await _synced(at, event("one", extra=out))
    assert await _told(at, pair, "one_20260311T080000Z") == [("source", "none", 13, "no_such_instance")]


@situation
async def one_week_only_lies_outside_the_hours(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    moved = event(
        "one", "20260311T200000", "20260311T210000", extra="RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000"
    )
    series = event("one", extra=WEEKLY).replace("END:VCALENDAR", moved.partition("END:VTIMEZONE\r\n")[2])
    pair = await _synced(at, series, only_between={"from": "08:00", "to": "18:00"})
    assert await _told(at, pair, utc("2026-03-11T19:30")) == [("source", "skip", 8, "outside_hours")]
    assert ("source", "none", 15, "in_step") in await _told(at, pair, AT_NINE)


@situation
async def an_edited_copy_is_kept(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at, on_copy_edited="keep")
    resource, data = only(at)
    at.store("b").put(resource, data.replace(b"SUMMARY:Busy", b"SUMMARY:Mine"))
    await at.app.run(pair, dry_run=True)
    assert await _told(at, pair) == [("source", "skip", 17, "copy_edit_kept")]
    await at.app.sync(pair)
    assert await _told(at, pair) == [("source", "none", 17, "copy_edit_kept")]


@situation
async def an_edited_copy_is_put_right(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    resource, data = only(at)
    at.store("b").put(resource, data.replace(b"SUMMARY:Busy", b"SUMMARY:Mine"))
    await at.app.run(pair, dry_run=True)
    assert await _told(at, pair, resource) == [("copy", "update", 17, "copy_edited")]


@situation
async def a_provider_rewrites_the_copy(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    for number in range(4):
        resource, data = only(at)
        at.store("b").put(resource, data.replace(b"SUMMARY:Busy", f"SUMMARY:{number}".encode()))
        await at.app.sync(pair)
    await at.app.change_pair(pair, quiet_until=None)
    at.store("b").put(*only(at))
    await at.app.sync(pair)
    assert await _told(at, pair) == [("source", "none", 17, "rewritten_by_provider")]


@situation
async def the_provider_refuses_it(at: MemoryDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> Resource:
        raise Refused("no")

    monkeypatch.setattr(MemoryCalendar, "create", refuse)
    at.store("a").put("one.ics", event("one"))
    pair = await at.pair(direction="a_to_b")
    assert (await at.app.run(pair)).status == "partial"
    (refused,) = (await ask(at, pair, "one.ics")).explanations
    assert told([refused]) == [("source", "skip", 22, "refused_by_provider")]
    assert refused.retry_at is not None
    assert timedelta(hours=23) < refused.retry_at - at.app.clock() <= timedelta(days=1)


@situation
async def a_copy_is_no_source(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at, direction="bidirectional")
    of_copy = [("copy", "none", 15, "in_step"), ("copy", "skip", 2, "copy_is_no_source")]
    assert await _told(at, pair, only(at)[0]) == of_copy
    assert await _told(at, pair, AT_NINE) == [("source", "none", 15, "in_step"), *of_copy]


@situation
async def a_copy_of_the_pair_before_is_no_source(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    await at.add("c")
    await _synced(at)
    onward = await at.pair("b", "c", direction="a_to_b")
    await at.app.sync(onward)
    assert await _told(at, onward, only(at)[0]) == [("copy", "none", 2, "another_pairs_copy")]


@situation
async def a_copy_that_travels_on(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    await at.add("c")
    await _synced(at)
    onward = await at.pair("b", "c", direction="a_to_b", relay=True)
    await at.app.sync(onward)
    relayed = ("copy", "none", 15, "in_step")
    assert relayed in await _told(at, onward, only(at)[0])
    back = await at.pair("b", "a", direction="a_to_b", relay=True)
    await at.app.sync(back)
    assert ("copy", "skip", 2, "origin_is_here") in await _told(at, back, only(at)[0])


@situation
async def a_copy_that_no_pair_keeps(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    first = await _synced(at)
    async with at.app.db.write() as db:
        await db.execute(delete(links).where(links.c.pair_id == first))
    await at.app.change_pair(first, status="paused")
    back = await at.pair("b", "a", direction="a_to_b")
    await at.app.sync(back)
    about = await _told(at, back, only(at)[0])
    assert about == [("copy", "none", 4, "copy_without_pair"), ("copy", "skip", 2, "copy_is_no_source")]


@situation
async def a_pasted_copy(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at, direction="bidirectional")
    resource, data = only(at)
    at.store("b").put("pasted.ics", data.replace(resource.removesuffix(".ics").encode(), b"pasted"))
    await at.app.sync(pair)
    assert await _told(at, pair, "pasted.ics") == [("stray", "none", 15, "in_step")]


@situation
async def the_pair_is_paused(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    until = at.app.clock() + timedelta(days=1)
    await at.app.change_pair(pair, status="paused", resume_at=until)
    answer = await ask(at, pair, "one.ics")
    assert troubles(answer) == [(19, "pair_paused")]
    assert answer.troubles[0].until == until


@situation
async def the_pair_needs_attention(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    fill(at, 6)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.app.clock.advance(minutes=10)
    empty_unnamed(at, "a")
    await at.app.run(pair)
    answer = await ask(at, pair, "0.ics")
    assert told(answer.explanations) == [("source", "delete", 16, "source_deleted")]
    assert troubles(answer) == [(21, "source_emptied")]


@situation
async def a_connection_has_expired(at: MemoryDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)

    async def refuse(*_: object, **__: object) -> None:
        raise NotAuthorized("no")

    monkeypatch.setattr(MemoryCalendar, "read", refuse)
    await at.app.run(pair)
    answer = await ask(at, pair, "one.ics")
    assert (25, "not_authorized") in troubles(answer)
    assert at.connections["a"] in {each.connection_id for each in answer.troubles}


@situation
async def the_pair_goes_the_other_way(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    at.store("b").put("two.ics", event("two"))
    pair = await _synced(at)
    assert await _told(at, pair, "two") == [("source", "skip", 18, "direction_one_way")]


@situation
async def the_direction_was_changed(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at, direction="bidirectional")
    await at.app.change_pair(pair, direction="b_to_a")
    one_way, goes = ("source", "skip", 18, "direction_one_way"), ("source", "delete", 18, "direction_changed")
    assert await _told(at, pair) == [one_way, goes]


@situation
async def no_event_that_blocks_time(at: MemoryDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's working locations and birthdays."""
    kinds = {"work.ics": EventType.WORKING_LOCATION, "birthday.ics": EventType.BIRTHDAY}

    def reading(name: str, *given: Any, **named: Any) -> Resource:
        found = read_resource(name, *given, **named)
        kind = kinds.get(name, EventType.DEFAULT)
        return replace(found, components=tuple(replace(each, event_type=kind) for each in found.components))

    monkeypatch.setattr("tests.testbed.memory.read_resource", reading)
    at.store("a").put("work.ics", event("work"))
    at.store("a").put("birthday.ics", event("birthday"))
    pair = await _synced(at)
    assert await _told(at, pair, "work") == [("source", "skip", 6, "working_location")]
    assert await _told(at, pair, "birthday") == [("source", "skip", 6, "birthday")]


@situation
async def an_event_that_cannot_be_read_any_more(at: MemoryDesk, _: pytest.MonkeyPatch) -> None:
    pair = await _synced(at)
    at.store("a").put("one.ics", SKIPPED["unreadable"][0])
    await at.app.run(pair)
    broken = [("source", "skip", 22, "no_start"), ("source", "none", 22, "source_unreadable")]
    assert await _told(at, pair) == broken
    # It may be at any time.
    assert ("source", "skip", 22, "no_start") in await _told(at, pair, utc("2026-05-01T12:00"))


@pytest.mark.parametrize("name", SITUATIONS)
async def test_the_answer_says_why(at: MemoryDesk, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    await SITUATIONS[name](at, monkeypatch)


async def test_another_installations_copy(at: MemoryDesk, quick_folder: Path) -> None:
    """Its copy stands where ours would, and ours waits for a person's word."""
    await _synced(at)
    (quick_folder / "other").mkdir()
    async with memory_desk(quick_folder / "other") as other:
        other.stores.update(at.stores)
        pair = await other.pair()
        await other.app.run(pair)
        answer = await ask(other, pair, "one.ics")
        assert told(answer.explanations) == [("source", "skip", 3, "id_taken")]
        assert troubles(answer)[0] == (4, "copies_of_lost_key")
        assert await _told(other, pair, only(at)[0]) == [("foreign", "none", 1, "foreign_copy")]
