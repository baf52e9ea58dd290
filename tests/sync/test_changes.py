"""Changes and drift: rules 15 to 20 and 28."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from calendarsync.store.tables import links, pairs, runs
from tests.testbed.desk import Desk
from tests.testbed.events import event


def _moved(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


async def test_rule_15_again_at_once_writes_nothing_and_costs_a_request_a_connection(at: Desk) -> None:
    for number in range(5):
        at.put_a(
            f"a{number}", event(f"a{number}", f"202603{number + 10}T090000", f"202603{number + 10}T100000")
        )
        at.put_b(
            f"b{number}", event(f"b{number}", f"202603{number + 20}T090000", f"202603{number + 20}T100000")
        )
    pair = await at.pair()
    first = await at.app.sync(pair)
    assert (first.events_processed, first.events_created) == (10, 10)
    before = at.versions(at.a), at.versions(at.b)
    second = await at.app.sync(pair)
    assert second.provider_requests == 2
    assert (second.events_processed, second.events_created, second.events_updated) == (0, 0, 0)
    assert (at.versions(at.a), at.versions(at.b)) == before


async def test_rule_16_a_changed_source_changes_its_copy_in_place(at: Desk) -> None:
    at.put_a("one", event("one"))
    pair = await at.pair()
    await at.app.sync(pair)
    names = set(at.copies(at.b))
    at.put_a("one", event("one", "20260304T140000", "20260304T150000"))
    report = await at.app.sync(pair)
    assert (report.events_processed, report.events_updated, report.events_created) == (1, 1, 0)
    assert set(at.copies(at.b)) == names
    assert at.busy(at.b, copies=True) == [("2026-03-04 13:00", "2026-03-04 14:00")]


async def test_rule_15_a_change_that_the_copy_does_not_show_is_not_written(at: Desk) -> None:
    at.put_a("one", event("one", title="Planning"))
    pair = await at.pair()
    await at.app.sync(pair)
    at.put_a("one", event("one", title="Another title"))
    report = await at.app.sync(pair)
    assert (report.events_processed, report.events_updated) == (1, 0)


@pytest.mark.parametrize(
    "extra",
    ["TRANSP:TRANSPARENT", "STATUS:CANCELLED", "ATTENDEE;PARTSTAT=DECLINED:mailto:alice@work.example", None],
)
async def test_rule_16_gone_and_back(at: Desk, extra: str | None) -> None:
    at.put_a("one", event("one"))
    pair = await at.pair()
    await at.app.sync(pair)
    if extra is None:
        at.delete(at.a, "one.ics")
    else:
        at.put_a("one", event("one", extra=extra))
    report = await at.app.sync(pair)
    assert report.events_deleted == 1
    assert at.copies_b() == []
    at.put_a("one", event("one"))
    report = await at.app.sync(pair)
    assert report.events_created == 1
    assert len(at.copies_b()) == 1


async def test_rule_17_an_edited_copy_is_put_right(at: Desk) -> None:
    at.put_a("one", event("one"))
    pair = await at.pair()
    await at.app.sync(pair)
    ((name, text),) = at.copies(at.b).items()
    at.put(at.b, name, _moved(text, "SUMMARY:Busy", "SUMMARY:Mine"))
    report = await at.app.sync(pair)
    assert [operation.reason for operation in report.operations] == ["copy_edited"]
    assert "SUMMARY:Busy" in at.copies_b()[0]


async def test_rule_17_a_reminder_that_a_person_adds_to_a_copy_stays(at: Desk) -> None:
    at.put_a("one", event("one"))
    pair = await at.pair()
    await at.app.sync(pair)
    ((name, text),) = at.copies(at.b).items()
    alarm = "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\nEND:VEVENT"
    at.put(at.b, name, _moved(text, "END:VEVENT", alarm))
    report = await at.app.sync(pair)
    assert report.operations == ()
    assert "VALARM" in at.copies_b()[0]


async def test_rule_17_two_restores_that_do_not_stick_are_accepted(at: Desk) -> None:
    at.put_a("one", event("one"))
    pair = await at.pair()
    await at.app.sync(pair)
    reasons = []
    for _ in range(4):
        ((name, text),) = at.copies(at.b).items()
        if "SUMMARY:Busy" in text:
            at.put(at.b, name, _moved(text, "SUMMARY:Busy", "SUMMARY:Mine"))
        report = await at.app.sync(pair)
        reasons.append([operation.reason for operation in report.operations])
    assert reasons == [["copy_edited"], ["copy_edited"], ["rewritten_by_provider"], []]


async def test_rule_17_a_deleted_copy_stays_away_until_its_source_moves(at: Desk) -> None:
    at.put_a("one", event("one"))
    pair = await at.pair(sync_mode="full")
    await at.app.sync(pair)
    (name,) = at.copies(at.b)
    at.delete(at.b, name)
    report = await at.app.sync(pair)
    assert [operation.reason for operation in report.operations] == ["copy_deleted_by_person"]
    at.put_a("one", event("one", title="New title"))
    await at.app.sync(pair)
    assert at.copies_b() == []
    at.put_a("one", event("one", "20260305T090000", "20260305T100000"))
    report = await at.app.sync(pair)
    assert report.events_created == 1
    assert len(at.copies_b()) == 1


async def test_rule_18_changed_options_bring_every_copy_in_line(at: Desk) -> None:
    at.put_a("one", event("one"))
    at.put_a("maybe", event("maybe", "20260305T090000", "20260305T100000", extra="STATUS:TENTATIVE"))
    pair = await at.pair()
    await at.app.sync(pair)
    await at.app.change_pair(pair, options={"title": "Away", "include_tentative": False})
    report = await at.app.sync(pair)
    assert (report.events_updated, report.events_deleted) == (1, 1)
    assert "SUMMARY:Away" in at.copies_b()[0]
    await at.app.change_pair(pair, sync_mode="full", options={})
    report = await at.app.sync(pair)
    assert (report.events_updated, report.events_created) == (1, 1)
    assert any("SUMMARY:Planning" in copy for copy in at.copies_b())


async def test_rule_18_a_direction_that_is_taken_away_takes_its_copies_along(at: Desk) -> None:
    at.put_a("one", event("one"))
    at.put_b("two", event("two", "20260305T090000", "20260305T100000"))
    pair = await at.pair()
    await at.app.sync(pair)
    assert (len(at.copies_a()), len(at.copies_b())) == (1, 1)
    await at.app.change_pair(pair, direction="a_to_b")
    report = await at.app.sync(pair)
    assert report.events_deleted == 1
    assert (len(at.copies_a()), len(at.copies_b())) == (0, 1)


async def test_rule_19_a_paused_pair_reads_and_writes_nothing(at: Desk) -> None:
    at.put_a("one", event("one"))
    pair = await at.pair()
    await at.app.change_pair(pair, status="paused")
    report = await at.app.run(pair)
    assert report.error is not None
    assert (report.error.code, report.provider_requests) == ("paused", 0)
    await at.app.change_pair(pair, status="active")
    at.put_a("two", event("two", "20260305T090000", "20260305T100000"))
    report = await at.app.sync(pair)
    assert report.events_created == 2


@pytest.mark.parametrize("removal", ["remove", "keep"])
async def test_rule_20_a_deleted_pair(at: Desk, removal: str) -> None:
    at.put_a("one", event("one"))
    at.put_b("two", event("two", "20260305T090000", "20260305T100000"))
    pair = await at.pair(sync_mode="full")
    await at.app.sync(pair)
    await at.app.change_pair(pair, removal=removal)
    await at.app.sync(pair)
    assert await at.app.row(pairs, pair) is None
    assert (at.copies_a(), at.copies_b()) == ([], [])
    kept = 2 if removal == "keep" else 1
    assert (len(at.read(at.a)), len(at.read(at.b))) == (kept, kept)
    async with at.app.db.read() as db:
        assert (await db.execute(select(func.count()).select_from(links))).scalar_one() == 0


async def test_rule_20_kept_copies_are_ordinary_events_from_then_on(at: Desk) -> None:
    at.put_a("one", event("one"))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    await at.app.change_pair(pair, removal="keep")
    await at.app.sync(pair)
    third = at.make_calendar(at.a)
    onward = await at.app.pair(at.conn_b, await at.connect(at.app, at.account, third))
    report = await at.app.sync(onward)
    assert report.events_created == 1


async def test_rule_28_a_connection_is_read_once_a_round(at: Desk) -> None:
    spokes = [at.make_calendar(at.b) for _ in range(3)]
    hub = at.conn_a
    hub_pairs = [
        await at.app.pair(hub, await at.connect(at.app, at.account, spoke), direction="a_to_b")
        for spoke in spokes
    ]
    at.put_a("one", event("one"))
    for pair in hub_pairs:
        await at.app.sync(pair)
    round_ = at.app.engine.new_round()
    reports = [await at.app.run(pair, round_=round_) for pair in hub_pairs]
    assert [report.provider_requests for report in reports] == [2, 1, 1]


async def test_every_run_writes_a_log_and_advances_last_synced_at(at: Desk) -> None:
    pair = await at.pair()
    report = await at.app.sync(pair)
    at.app.clock.advance(minutes=5)
    await at.app.sync(pair)
    row = await at.app.row(pairs, pair)
    assert row.last_synced_at == at.app.clock()
    assert row.due_at == at.app.clock() + timedelta(seconds=300)
    assert row.leased_until is None
    async with at.app.db.read() as db:
        logged = (await db.execute(select(runs).order_by(runs.c.created_at))).all()
    assert next(run.sync_id for run in logged) == report.sync_id
    assert len(logged) == 2
