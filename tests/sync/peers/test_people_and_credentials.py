"""Failures of peers around people and their access: mail to those who were invited, and grants given up for dead.

Each test names the issue that it stems from, and what happened there. Those of grants are in `test_grants`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from multidict import CIMultiDict

from calendarsync.store import index
from calendarsync.store.errors import DatabaseUnavailable
from calendarsync.store.tables import connections
from tests.sync.helpers import done
from tests.sync.peers.helpers import between, read_all_anew
from tests.sync.stories import days, fill, on
from tests.testbed.desk import EMAILS, Desk
from tests.testbed.google import Model as GoogleModel
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.microsoft import Model as MicrosoftModel
from tests.testbed.microsoft.faults import Fault
from tests.testbed.proxy import Answer, Forward, Proxy, Request, proxy_of
from tests.testbed.rest import ask

BOSS = {"emailAddress": {"address": "boss@example.com", "name": "Boss"}}
PEOPLE = [
    {"emailAddress": {"address": address, "name": name}, "type": "required"}
    for address, name in (("carol@example.com", "Carol"), ("dave@example.com", "Dave"))
]


def invite(at: Desk, model: MicrosoftModel, subject: str, day: int = 9, **more: Any) -> str:
    """An invitation of somebody else's to a, to which others are invited too; its id."""
    start, end = ({"dateTime": f"2026-03-{day:02}T{hour}:00:00", "timeZone": "UTC"} for hour in ("10", "11"))
    body = {"subject": subject, "start": start, "end": end, "attendees": PEOPLE, **more}
    accepted = {"response": "accepted", "time": "2026-02-01T00:00:00Z"}
    return model.place(at.a, body, organizer=BOSS, isOrganizer=False, responseStatus=accepted)


def delete_and_tell(at: Desk, event_id: str) -> None:
    """As somebody does in Google's own program, who wants all guests to be told."""
    target = at.keepers[at.b]
    assert isinstance(target, GoogleKeeper)
    path = f"calendars/{quote(at.b, safe='')}/events/{event_id}"
    url, told = f"{target.model.url}/calendar/v3/{path}", {"sendUpdates": "all"}
    ask("DELETE", url, target.account.token, params=told).expect(204)


def copies_at_google(at: Desk) -> list[dict[str, Any]]:
    target = at.keepers[at.b]
    assert isinstance(target, GoogleKeeper)
    return list(target.model.events(at.b).values())


@pytest.mark.rule(10)
@between("microsoft", "google")
async def test_nobody_hears_of_a_copied_meeting(
    between: Desk, google_model: GoogleModel, microsoft_model: MicrosoftModel
) -> None:
    """Named as OutlookGoogleCalendarSync #121, for people: a meeting that somebody else organizes is copied to
    Google with its attendees, and Google sends them invitations, updates and cancellations in the copier's name.
    """
    at = between
    meeting = invite(at, microsoft_model, "Review")
    pair = await at.pair(sync_mode="full", attendees_in_description=True)
    await at.app.sync(pair)
    (copy,) = copies_at_google(at)
    assert "attendees" not in copy
    assert copy["organizer"]["email"] == at.b, "the calendar's own, as of any event without guests"
    assert "Carol" in copy["description"]
    maybe = {"response": "tentativelyAccepted", "time": "2026-02-02T00:00:00Z"}
    microsoft_model.force(meeting, responseStatus=maybe)
    await at.app.sync(pair)
    (copy,) = copies_at_google(at)
    assert (copy["status"], copy.get("attendees")) == ("tentative", None)
    microsoft_model.force(meeting, isCancelled=True)
    assert (await at.app.sync(pair)).events_deleted == 1
    assert copies_at_google(at) == []
    assert (google_model.mails, microsoft_model.mails) == ([], [])


@pytest.mark.rule(10)
@pytest.mark.rule(17)
@between("microsoft", "google")
async def test_who_deletes_a_copy_cancels_nothing(
    between: Desk, google_model: GoogleModel, microsoft_model: MicrosoftModel
) -> None:
    """Named as OutlookGoogleCalendarSync #106, for people: somebody deletes a copied meeting from the Google
    calendar; all who were invited get a cancellation, or the meeting itself goes at the other end.
    """
    at = between
    invite(at, microsoft_model, "Review")
    at.put_a("own", on(12))
    pair = await at.pair(sync_mode="full", attendees_in_description=True)
    await at.app.sync(pair)
    sources = at.versions(at.a)
    (copy,) = [row for row in copies_at_google(at) if row["summary"] == "Review"]
    delete_and_tell(at, copy["id"])
    assert done(await at.app.sync(pair)) == [("skip", "copy_deleted_by_person")]
    assert done(await read_all_anew(at, pair)) == []
    assert at.versions(at.a) == sources
    assert days(at) == [12]
    assert (google_model.mails, microsoft_model.mails) == ([], [])


@pytest.mark.rule(22)
@between("feed", "google")
async def test_a_feed_with_bare_dates(between: Desk) -> None:
    """keeper.sh #391: a sports club's feed (GameChanger) writes `DTSTART:20260515` without `VALUE=DATE`. The whole
    calendar stayed empty, with no error that anybody could see.
    """
    at = between
    lines = {
        "cup": "DTSTART:20260515\nDTEND:20260518",
        "training": "DTSTART:20260601\nRRULE:FREQ=WEEKLY;COUNT=4\nEXDATE:20260608,20260615",
        "no-day": "DTSTART:20260231",
    }
    for name, times in lines.items():
        at.put_a(name, f"BEGIN:VEVENT\nUID:{name}\nSUMMARY:{name}\n{times}\nEND:VEVENT\n")
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    report = await at.app.run(pair)
    skipped = [(each.event_id, each.reason) for each in report.operations if each.action == "skip"]
    assert (report.status, report.events_created) == ("partial", 2)
    assert skipped == [("no-day", "no_start")], "what is no day at all is told"
    shown = {row["summary"]: (row["start"], row["end"]) for row in copies_at_google(at) if "summary" in row}
    assert shown["cup"] == ({"date": "2026-05-15"}, {"date": "2026-05-18"})
    assert shown["training"] == ({"date": "2026-06-01"}, {"date": "2026-06-02"})
    assert [start[:10] for start, _ in at.busy(at.b, copies=True)] == [
        "2026-05-14",
        "2026-05-31",
        "2026-06-21",
    ]


@pytest.fixture
async def proxy(between: Desk) -> AsyncIterator[Proxy]:
    """Between us and the CalDAV server b, but not between that and people."""
    async with proxy_of(between.b) as made:
        url = made.url(between.b)
        between.keepers[url] = between.keepers[between.b]
        between.conn_b = await between.connect(between.app, between.account, url, email=EMAILS["b"])
        yield made


@pytest.mark.rule(25)
@between("radicale", "radicale")
async def test_neither_a_time_out_nor_the_database_is_the_fault_of_a_password(
    between: Desk, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """keeper.sh #631: the 401 that begins a Digest handshake was remembered, and a later time-out taken for a
    refused password. So was "password authentication failed" of keeper's own database.
    """
    at = between
    fill(at, range(3, 6))
    pair = await at.pair(direction="a_to_b")
    answers: list[int] = []

    async def slow(request: Request, forward: Forward) -> Answer:
        digest = request.headers.get("Authorization", "").startswith("Digest")
        challenge = CIMultiDict(
            {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'}
        )
        answer = Answer(504) if digest else Answer(401, headers=challenge)
        answers.append(answer.status)
        return answer

    async def honest(request: Request, forward: Forward) -> Answer:
        return await forward(request)

    async def state() -> tuple[str, str | None]:
        row = await at.app.row(connections, at.conn_b)
        return row.status, row.last_error_code

    proxy.hook = slow
    report = await at.app.run(pair)
    assert report.error is not None
    assert report.error.code == "provider_unavailable"
    assert answers[:2] == [401, 504]
    assert await state() == ("active", "provider_unavailable")

    proxy.hook = honest
    with monkeypatch.context() as broken:

        async def refuse(*args: object, **given: object) -> None:
            raise DatabaseUnavailable('password authentication failed for user "calendarsync"')

        broken.setattr(index, "store_resources", refuse)
        with pytest.raises(DatabaseUnavailable):
            await at.app.run(pair)
        assert (await state())[0] == "active"
    await at.app.sync(pair)
    assert await state() == ("active", None)
    assert days(at) == [3, 4, 5]


@pytest.mark.rule(22)
@between("radicale", "google")
async def test_what_is_forbidden_is_not_tried_every_minute(between: Desk, google_model: GoogleModel) -> None:
    """keeper.sh #615: six Google calendars refused every deletion (403). As the run itself had ended well, it
    counted as a success and reset the pause before the next: the same deletions were sent each minute, for weeks.
    """
    at = between
    fill(at, range(3, 7))
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await at.app.sync(pair)
    for day in range(3, 7):
        at.delete(at.a, f"{day}.ics")
    google_model.fail(403, reason="forbidden", method="events.delete", times=1000)
    for _ in range(6):
        assert (await at.app.run(pair)).status == "partial"
        await at.app.change_pair(pair, quiet_until=None)
        at.app.clock.advance(minutes=1)
    tried = [call for call in google_model.seen if call.method == "calendar.events.delete"]
    assert len(tried) == 4, "each of them once"
    at.app.clock.advance(days=1)
    google_model.faults.clear()
    await at.app.sync(pair)
    assert days(at) == []


@pytest.mark.rule(24)
@pytest.mark.parametrize(
    "slow_down",
    [
        pytest.param({"status": 429, "retry_after": 120}, id="429"),
        pytest.param({"status": 503, "code": "MailboxConcurrency", "retry_after": 120}, id="503"),
    ],
)
@between("radicale", "microsoft")
async def test_a_throttled_mailbox_loses_no_write(
    between: Desk, microsoft_model: MicrosoftModel, slow_down: dict[str, Any]
) -> None:
    """keeper.sh #603: Graph answered 429, or 503 for too many requests to one mailbox at a time, and each such
    write was noted as failed and dropped, until some later run made the event by chance.
    """
    at = between
    fill(at, range(3, 28))
    pair = await at.pair(direction="a_to_b")
    microsoft_model.faults.order(Fault(method="POST", path="/events", times=5, **slow_down))
    report = await at.app.run(pair)
    assert report.error is not None
    done_so_far = len(at.copies_b())
    seen = len(microsoft_model.seen)
    assert (await at.app.run(pair)).error is not None
    assert len(microsoft_model.seen) == seen, "it is left alone for as long as it has asked for"
    at.app.clock.advance(seconds=145)
    assert (await at.app.sync(pair)).events_created == 25 - done_so_far
    assert days(at) == list(range(3, 28))
    assert done(await read_all_anew(at, pair)) == []
