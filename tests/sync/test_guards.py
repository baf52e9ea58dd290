"""Guards, conflicts, refusals, slow providers and lost tokens: rules 21 to 26."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.providers.base import NotAuthorized, ProviderError, RateLimited, Refused, Unavailable
from calendarsync.store.tables import connections, failures, pairs
from tests.sync.helpers import done
from tests.testbed.events import event
from tests.testbed.memory import MemoryCalendar
from tests.testbed.memory_desk import MemoryDesk, memory_desk


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(tmp_path) as desk:
        yield desk


def _fill(at: MemoryDesk, count: int) -> None:
    for number in range(count):
        day = 3 + number % 25
        at.store("a").put(
            f"{number}.ics", event(f"uid-{number}", f"202603{day:02}T0900{number % 60:02}", None)
        )


async def _status(at: MemoryDesk, pair: str) -> str:
    return str((await at.app.row(pairs, pair)).status)


async def test_rule_21_many_deletions_are_done_after_a_second_full_reading(at: MemoryDesk) -> None:
    _fill(at, 20)
    pair = await at.pair()
    await at.app.sync(pair)
    for number in range(15):
        at.store("a").delete(f"{number}.ics")
    before = at.faults["http://127.0.0.1:1/a/"].calls
    report = await at.app.sync(pair)
    assert report.events_deleted == 15
    assert at.faults["http://127.0.0.1:1/a/"].calls - before == 2, "read, and read again in full"


async def test_rule_21_what_the_second_reading_shows_again_is_not_deleted(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(at, 20)
    pair = await at.pair()
    await at.app.sync(pair)
    truth = dict(at.store("a").resources)
    for number in range(15):
        at.store("a").delete(f"{number}.ics")
    read = MemoryCalendar.read

    async def lying_once(self: MemoryCalendar, *args: object, full: bool) -> object:
        if full:
            at.store("a").resources.update(truth)
        return await read(self, *args, full=full)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryCalendar, "read", lying_once)
    report = await at.app.sync(pair)
    assert report.events_deleted == 0
    assert len(at.store("b").resources) == 20


async def test_rule_21_a_calendar_that_reads_empty_waits_for_a_person(at: MemoryDesk) -> None:
    _fill(at, 5)
    pair = await at.pair()
    await at.app.sync(pair)
    truth = dict(at.store("a").resources)
    at.store("a").resources.clear()
    at.store("a").forget_tokens()
    at.store("a").journal.append("an unrelated change")
    at.store("a").forget_tokens()
    report = await at.app.run(pair)
    assert report.error is not None
    assert report.error.code == "needs_attention"
    assert await _status(at, pair) == "needs_attention"
    assert len(at.store("b").resources) == 5
    assert (await at.app.run(pair)).status == "failed", "nor at the next reading"
    at.store("a").resources.update(truth)
    at.store("a").forget_tokens()
    await at.app.run(pair, full=True)
    assert await _status(at, pair) == "active", "it came back, and so does the pair"
    assert len(at.store("b").resources) == 5


async def test_rule_21_confirmed_it_is_done(at: MemoryDesk) -> None:
    _fill(at, 6)
    pair = await at.pair()
    await at.app.sync(pair)
    at.store("a").resources.clear()
    at.store("a").journal.append("x")
    at.store("a").forget_tokens()
    assert (await at.app.run(pair)).status == "failed"
    report = await at.app.run(pair, confirm=True)
    assert report.events_deleted == 6
    assert await _status(at, pair) == "active"


async def test_rule_21_named_deletions_of_a_small_calendar_are_believed(at: MemoryDesk) -> None:
    _fill(at, 6)
    pair = await at.pair()
    await at.app.sync(pair)
    for number in range(6):
        at.store("a").delete(f"{number}.ics")
    assert (await at.app.sync(pair)).events_deleted == 6


async def test_rule_21_what_the_owner_changes_is_exempt(at: MemoryDesk) -> None:
    for number in range(12):
        at.store("a").put(f"{number}.ics", event(f"u{number}", f"202603{number + 10}", None))
    pair = await at.pair()
    await at.app.sync(pair)
    await at.app.change_pair(pair, options={"include_all_day": False})
    report = await at.app.sync(pair)
    assert report.events_deleted == 12
    assert report.provider_requests < 20


async def test_rule_17_copies_that_vanish_together_wait_for_a_person(at: MemoryDesk) -> None:
    _fill(at, 12)
    pair = await at.pair()
    await at.app.sync(pair)
    for name in list(at.store("b").resources):
        at.store("b").delete(name)
    report = await at.app.run(pair)
    assert report.error is not None
    assert "12 of 12" in report.error.message
    assert await _status(at, pair) == "needs_attention"
    report = await at.app.run(pair, confirm=True)
    assert report.status == "success"
    assert at.store("b").resources == {}
    assert (await at.app.sync(pair)).events_created == 0


async def test_rule_21_a_guard_tells_what_would_happen_by_numbers_and_examples(at: MemoryDesk) -> None:
    _fill(at, 12)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    copies = {name.removesuffix(".ics") for name in at.store("b").resources}
    truth = dict(at.store("a").resources)
    at.store("a").resources.clear()
    at.store("a").journal.append("x")
    at.store("a").forget_tokens()
    await at.app.run(pair)
    details = (await at.app.row(pairs, pair)).attention_details
    assert (details["direction"], details["copies"], details["out_of"]) == ("a_to_b", 12, 12)
    assert len(details["examples"]) == 5
    for example in details["examples"]:
        assert example["event_id"] in truth
        assert example["copy_id"] in copies
        assert example["start"].startswith("2026-03-")
    dry = await at.app.run(pair, dry_run=True)
    assert (dry.status, [each.action for each in dry.operations]) == ("failed", ["delete"] * 12)
    dry = await at.app.run(pair, dry_run=True, confirm=True)
    assert (dry.status, [each.action for each in dry.operations]) == ("success", ["delete"] * 12)
    assert len(at.store("b").resources) == 12
    at.store("a").resources.update(truth)
    at.store("a").forget_tokens()
    await at.app.run(pair, full=True)
    assert (await at.app.row(pairs, pair)).attention_details is None


async def test_rule_4_a_dry_run_tells_which_copies_a_confirmation_would_adopt(
    at: MemoryDesk, quick_folder: Path
) -> None:
    """What it tells before the question is asked, too, and it adopts nothing."""
    _fill(at, 3)
    await at.app.sync(await at.pair(direction="a_to_b"))
    async with memory_desk(quick_folder) as other:
        other.stores.update(at.stores)
        pair = await other.pair(direction="a_to_b")
        dry = await other.app.run(pair, dry_run=True)
        assert (dry.status, sorted(done(dry))) == ("failed", [("update", "adopted")] * 3)
        copies = {name.removesuffix(".ics") for name in at.store("b").resources}
        assert {each.copy_id for each in dry.operations} == copies
        assert dry.events_skipped == 0
        assert (await other.app.run(pair)).status == "failed"
        dry = await other.app.run(pair, dry_run=True, confirm=True)
        assert (dry.status, dry.events_updated) == ("success", 3)
        assert (await other.app.run(pair, confirm=True)).events_updated == 3


async def test_rule_17_a_dry_run_tells_of_copies_that_would_stay_away(at: MemoryDesk) -> None:
    _fill(at, 3)
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.store("b").delete(next(iter(at.store("b").resources)))
    dry = await at.app.run(pair, dry_run=True)
    assert [(each.action, each.reason) for each in dry.operations] == [("skip", "copy_deleted_by_person")]
    assert done(await at.app.sync(pair)) == [("skip", "copy_deleted_by_person")]


async def test_rule_22_a_refused_event_holds_up_no_other_and_is_tried_again_in_a_day(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(at, 3)
    pair = await at.pair(sync_mode="full")
    tried = []
    create = MemoryCalendar.create

    async def refusing(self: MemoryCalendar, copy: Copy) -> Resource:
        if copy.master.start.local.second == 1:
            tried.append(at.app.clock())
            raise Refused("the provider refuses this event")
        return await create(self, copy)

    monkeypatch.setattr(MemoryCalendar, "create", refusing)
    report = await at.app.run(pair)
    assert (report.status, report.events_created) == ("partial", 2)
    report = await at.app.run(pair)
    assert (report.status, report.events_created, len(tried)) == ("partial", 0, 1)
    at.app.clock.advance(hours=25)
    assert ((await at.app.run(pair)).status, len(tried)) == ("partial", 2)
    at.store("a").put("1.ics", event("uid-1", "20260310T090001", None))
    assert ((await at.app.run(pair)).status, len(tried)) == ("partial", 3), "changed, it is tried at once"
    monkeypatch.setattr(MemoryCalendar, "create", create)
    await at.app.change_pair(pair, options={"past_days": 2})
    assert (await at.app.run(pair)).status == "success"
    async with at.app.db.read() as db:
        assert (await db.execute(select(failures))).all() == []


async def test_rule_22_an_unreadable_event_keeps_its_copy_and_holds_up_no_other(at: MemoryDesk) -> None:
    _fill(at, 2)
    pair = await at.pair()
    await at.app.sync(pair)
    at.store("a").put("0.ics", event("uid-0")[:150])
    at.store("a").put("9.ics", event("uid-9", "20260320T090000", None))
    report = await at.app.run(pair)
    assert (report.status, report.events_created, report.events_deleted) == ("partial", 1, 0)
    assert len(at.store("b").resources) == 3
    assert (await at.app.run(pair)).status == "partial", "it stays told"


async def test_rule_23_a_copy_that_changed_under_our_hands_is_read_again(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(at, 1)
    pair = await at.pair()
    await at.app.sync(pair)
    (name,) = at.store("b").resources
    update = MemoryCalendar.update
    raced = []

    async def racing(self: MemoryCalendar, resource_id: str, version: str | None, copy: Copy) -> Resource:
        if not raced:
            raced.append(version)
            data = at.store("b").resources[name][1].replace(b"SUMMARY:Busy", b"SUMMARY:Theirs")
            at.store("b").put(name, data)
        return await update(self, resource_id, version, copy)

    monkeypatch.setattr(MemoryCalendar, "update", racing)
    at.store("a").put("0.ics", event("uid-0", "20260310T090000", "20260310T100000"))
    report = await at.app.sync(pair)
    assert raced
    assert report.events_updated == 1
    assert b"20260310T090000" in at.store("b").resources[name][1]


async def test_rule_23_a_source_that_is_gone_when_its_text_is_fetched(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(at, 2)
    pair = await at.pair()
    await at.app.sync(pair)
    fetch = MemoryCalendar.fetch

    async def vanishing(self: MemoryCalendar, ids: list[str]) -> list[Resource]:
        if "0.ics" in at.store("a").resources:
            at.store("a").delete("0.ics")
        return await fetch(self, ids)

    await at.app.change_pair(pair, sync_mode="full")
    monkeypatch.setattr(MemoryCalendar, "fetch", vanishing)
    report = await at.app.sync(pair)
    assert (report.events_updated, report.events_deleted) == (1, 1)


@pytest.mark.parametrize(
    ("error", "status", "waits"),
    [
        (RateLimited("slow down", retry_after=120), "active", 120),
        (RateLimited("slow down"), "active", 60),
        (Unavailable("down", retry_after=30), "active", 30),
        (Unavailable("down"), "active", None),
        (NotAuthorized("no"), "expired", None),
    ],
)
async def test_rules_24_and_25_what_a_provider_says_is_heard(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch, error: ProviderError, status: str, waits: int | None
) -> None:
    _fill(at, 12)
    pair = await at.pair()
    create = MemoryCalendar.create
    made = []

    async def failing(self: MemoryCalendar, copy: Copy) -> Resource:
        if made:
            raise error
        made.append(copy.id)
        return await create(self, copy)

    monkeypatch.setattr(MemoryCalendar, "create", failing)
    report = await at.app.run(pair)
    assert report.error is not None
    assert report.error.code == error.code
    assert report.events_created == 1, "what was done stays done"
    row = await at.app.row(connections, at.connections["b"])
    assert row.status == status
    assert (row.not_before is not None) == (waits is not None)
    if waits is not None:
        assert 0 <= (row.not_before - at.app.clock()).total_seconds() - waits <= waits / 5
    monkeypatch.undo()
    if waits is not None or status == "expired":
        report = await at.app.run(pair)
        assert report.error is not None
        assert report.provider_requests == 0, "nor does a trigger ask before the time"
        at.app.clock.advance(seconds=(waits or 0) * 1.2)
        async with at.app.db.write() as db:
            await db.execute(update(connections).values(status="active"))
    assert (await at.app.run(pair)).events_created == 11
    assert (await at.app.row(connections, at.connections["b"])).status == "active"


async def test_rule_22_an_event_that_the_server_breaks_on_holds_up_no_other(
    at: MemoryDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(at, 12)
    pair = await at.pair()
    create = MemoryCalendar.create

    async def breaking(self: MemoryCalendar, copy: Copy) -> Resource:
        if copy.master.start.local.second == 3:
            raise Unavailable("the server failed to answer")
        return await create(self, copy)

    monkeypatch.setattr(MemoryCalendar, "create", breaking)
    report = await at.app.run(pair)
    assert (report.status, report.events_created) == ("partial", 11)
    report = await at.app.run(pair)
    assert report.error is not None, "where nothing else is to be done, it is told as it is"
    monkeypatch.undo()
    assert (await at.app.sync(pair)).events_created == 1


async def test_rule_26_a_rejected_token_leads_to_a_full_reading_without_needless_writes(
    at: MemoryDesk,
) -> None:
    _fill(at, 5)
    pair = await at.pair()
    await at.app.sync(pair)
    at.store("a").delete("0.ics")
    at.store("a").put("7.ics", event("uid-7", "20260320T090000", None))
    at.store("a").forget_tokens()
    at.store("b").forget_tokens()
    report = await at.app.sync(pair)
    assert (report.events_created, report.events_deleted, report.events_updated) == (1, 1, 0)
