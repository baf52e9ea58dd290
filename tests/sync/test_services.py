"""What is particular to calendars at Google and Microsoft, in the words of the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from calendarsync.store.tables import links
from tests.sync.helpers import WEEKLY, done
from tests.sync.stories import days, fill, on, stamp
from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.installation import installation
from tests.testbed.microsoft_keeper import MicrosoftKeeper

SECRET = b"the same secret of this installation"
BOTH = [("google", "microsoft"), ("microsoft", "google")]
both = pytest.mark.parametrize("between", BOTH, ids="-".join, indirect=True)
WRAPPED = "040000008200E00074C5B7101A82E008"


def keeper(at: Desk, kind: type[Any]) -> Any:
    return next(each for each in at.keepers.values() if isinstance(each, kind))


def refuse_used_ids(at: Desk) -> None:
    """Google never frees an id; Graph may keep to a `transactionId` as well, as no page says that it does not."""
    keeper(at, MicrosoftKeeper).model.habits.transaction_after_delete = "refuse"
    keeper(at, GoogleKeeper).model.habits.revival = "refuse"


async def generations(at: Desk) -> list[int]:
    async with at.app.db.read() as db:
        return sorted((await db.execute(select(links.c.generation))).scalars().all())


@both
async def test_rule_3_where_an_id_is_used_up_the_generation_moves_on(between: Desk, tmp_path: Path) -> None:
    at = between
    refuse_used_ids(at)
    fill(at, range(3, 5))
    at.put_a("series", event("series", extra=WEEKLY))
    async with installation(tmp_path / "old", secret=SECRET) as app:
        pair = await at.pair_in(app, direction="a_to_b")
        await app.sync(pair)
        gone = dict(at.copies(at.b))
        for name in gone:
            at.delete(at.b, name)
        await app.sync(pair)
        for day in (3, 4):
            at.put_a(f"{day}", event(f"uid-{day}", stamp(day + 2), stamp(day + 2, 10)))
        at.put_a("series", event("series", stamp(4, 14), stamp(4, 15), extra=WEEKLY))
        assert (await app.sync(pair)).events_created == 3
        assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)
        assert not at.copies(at.b).keys() & gone.keys()
        assert (await app.sync(pair)).operations == ()
    async with installation(tmp_path / "new", secret=SECRET) as app:
        before = at.versions(at.b)
        report = await app.sync(await at.pair_in(app, direction="a_to_b"))
        assert done(report) == [("adopt", "adopted")] * 3
        assert at.versions(at.b) == before


@both
async def test_rule_16_gone_and_back_several_times(between: Desk) -> None:
    at = between
    refuse_used_ids(at)
    pair = await at.pair(direction="a_to_b")
    for _ in range(3):
        at.put_a("one", on(4))
        await at.app.sync(pair)
        assert days(at) == [4]
        at.put_a("one", on(4, extra="TRANSP:TRANSPARENT"))
        await at.app.sync(pair)
        assert days(at) == []


@both
async def test_rule_4_marks_that_no_listing_shows(between: Desk, tmp_path: Path) -> None:
    at = between
    keeper(at, MicrosoftKeeper).model.habits.transaction_in_delta = False
    fill(at, range(3, 6))
    at.put_a("series", event("series", extra=WEEKLY))
    at.put_b("own", on(20))
    for folder, expected in (("old", {"create"}), ("new", {"adopt"})):
        before = at.versions(at.a), at.versions(at.b)
        async with installation(tmp_path / folder, secret=SECRET) as app:
            report = await app.sync(await at.pair_in(app))
            assert {action for action, _ in done(report)} == expected
            assert len(report.operations) == 5
    assert (at.versions(at.a), at.versions(at.b)) == before


def exchange(uid: str) -> str:
    """A UID of somebody else as Exchange writes it (MS-OXOCAL, PidLidGlobalObjectId)."""
    data = b"vCal-Uid\x01\x00\x00\x00" + uid.encode() + b"\x00"
    return WRAPPED + "00" * 20 + len(data).to_bytes(4, "little").hex().upper() + data.hex().upper()


@both
async def test_rule_5_a_meeting_that_exchange_has_wrapped(between: Desk) -> None:
    at = between
    uids = {GoogleKeeper: "Meeting@example.com", MicrosoftKeeper: exchange("Meeting@example.com")}
    uid_a, uid_b = (uids[type(at.keepers[calendar])] for calendar in (at.a, at.b))
    at.put_a("meeting", event(uid_a, extra=WEEKLY))
    at.put_b("meeting", event(uid_b, extra=WEEKLY))
    pair = await at.pair()
    report = await at.app.sync(pair)
    assert {reason for _, reason in done(report)} == {"same_meeting"}
    assert (at.copies_a(), at.copies_b()) == ([], [])
    declined = "ATTENDEE;PARTSTAT=DECLINED:mailto:alice@home.example"
    named = f"RECURRENCE-ID;TZID=Europe/Berlin:{stamp(11)}"
    instance = vevent(uid_b, stamp(11), stamp(11, 10), extra=f"{named}\n{declined}")
    at.put_b("meeting", vcalendar(vevent(uid_b, extra=WEEKLY), instance))
    await at.app.sync(pair)
    assert days(at) == [11], "declined there, and accepted here"


@both
async def test_rule_5_invited_to_one_instance_alone(between: Desk) -> None:
    at = between
    at.put_a("series", event("meeting", extra=WEEKLY))
    named = f"RECURRENCE-ID;TZID=Europe/Berlin:{stamp(11)}"
    at.put_b("invited", vcalendar(vevent("meeting", stamp(11), stamp(11, 10), extra=named)))
    await at.app.sync(await at.pair())
    assert days(at) == [4, 18, 25]
    assert at.copies_a() == []


@both
async def test_rules_7_and_26_what_the_window_leaves_behind_stays(between: Desk) -> None:
    """Graph reads a span of time alone, and a new span after some weeks: what is not in it is not gone."""
    at = between
    fill(at, range(3, 15))
    at.put_a("ahead", event("ahead", "20260601T090000", "20260601T100000"))
    pair = await at.pair(direction="a_to_b", future_days=30)
    await at.app.sync(pair)
    stood = at.versions(at.b)
    for _ in range(4):
        at.app.clock.advance(days=20)
        report = await at.app.sync(pair)
        assert report.events_deleted == 0
        assert (await at.app.sync(pair)).operations == ()
    assert stood.items() <= at.versions(at.b).items()
    assert at.busy(at.b, copies=True) == at.busy(at.a, copies=False)


@both
async def test_rule_26_moved_out_of_what_is_read_and_back(between: Desk) -> None:
    at = between
    fill(at, range(3, 6))
    pair = await at.pair(direction="a_to_b", future_days=30)
    await at.app.sync(pair)
    at.put_a("4", event("uid-4", "20280301T090000", "20280301T100000"))
    await at.app.sync(pair)
    assert days(at) == [3, 5]
    ((name, text),) = [item for item in at.copies(at.b).items() if "20260305T" in item[1]]
    at.put(at.b, name, text.replace("20260305T", "20280305T"))
    await at.app.sync(pair)
    assert days(at) == [3, 5], "a copy that a person moved far away is put right"
    at.put_a("4", event("uid-4", stamp(7), stamp(7, 10)))
    await at.app.sync(pair)
    assert days(at) == [3, 5, 7]
    assert (await at.app.sync(pair)).operations == ()


@both
async def test_rule_16_a_deletion_outside_the_window_is_one(between: Desk) -> None:
    at = between
    fill(at, range(3, 6))
    pair = await at.pair(direction="a_to_b", past_days=30)
    await at.app.sync(pair)
    at.delete(at.a, "4.ics")
    report = await at.app.sync(pair)
    assert (report.events_deleted, days(at)) == (1, [3, 5])


INVITED = """ATTENDEE;CN=Carol;PARTSTAT=ACCEPTED:mailto:carol@example.com
ATTENDEE;CN=Alice;PARTSTAT=ACCEPTED:mailto:alice@work.example
ORGANIZER;CN=Alice:mailto:alice@work.example"""


def invite(at: Desk) -> None:
    """Carol comes to all that is in a, where that is no iCalendar."""
    source = at.keepers[at.a]
    if isinstance(source, GoogleKeeper):
        for event_id, row in source.model.events(at.a).items():
            if "recurringEventId" not in row:
                source.model.put(at.a, {"attendees": [{"email": "carol@example.com"}]}, event_id)
    elif isinstance(source, MicrosoftKeeper):
        carol = {"emailAddress": {"address": "carol@example.com", "name": "Carol"}, "type": "required"}
        start, end = ({"dateTime": f"2026-03-09T{hour}:00:00", "timeZone": "UTC"} for hour in ("10", "11"))
        source.model.place(at.a, {"subject": "With Carol", "start": start, "end": end, "attendees": [carol]})


def rows(at: Desk) -> list[dict[str, Any]]:
    """The events of b as the service has them."""
    target = at.keepers[at.b]
    if isinstance(target, GoogleKeeper):
        return list(target.model.events(at.b).values())
    assert isinstance(target, MicrosoftKeeper)
    return [found.fields for found in target.model.world.calendars[at.b].events.values()]


@pytest.mark.parametrize("removal", ["remove", "keep"])
@pytest.mark.parametrize(
    "between", [*BOTH, ("radicale", "google"), ("radicale", "microsoft")], ids="-".join, indirect=True
)
async def test_rule_10_nobody_is_invited_and_nobody_gets_mail(between: Desk, removal: str) -> None:
    at = between
    at.put_a("one", on(4, extra=INVITED))
    at.put_a("series", event("series", extra=f"{WEEKLY}\n{INVITED}"))
    invite(at)
    at.put_a("other", on(6))
    models = [each.model for each in at.keepers.values() if isinstance(each, GoogleKeeper | MicrosoftKeeper)]
    for model in models:
        model.mails.clear()
    pair = await at.pair(direction="a_to_b", sync_mode="full", attendees_in_description=True)
    await at.app.sync(pair)
    assert any("Carol" in text or "carol@example.com" in text for text in at.copies_b())
    at.put_a("other", on(6, title="Changed"))
    assert (await at.app.sync(pair)).events_updated == 1
    assert [row.get("attendees") for row in rows(at) if row.get("attendees")] == []
    await at.app.change_pair(pair, removal=removal)
    await at.app.sync(pair)
    for model in models:
        assert model.mails == []
