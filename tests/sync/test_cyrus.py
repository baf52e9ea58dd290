"""What Cyrus does and others do not: one UID for a person, and meetings that it delivers (RFC 6638)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.sync.helpers import done
from tests.sync.stories import days, on, stamp
from tests.testbed.cyrus import CyrusServer
from tests.testbed.desk import Desk, desk
from tests.testbed.events import event
from tests.testbed.fixtures import server_named

# Cyrus delivers nothing for meetings that are over by its own clock.
FUTURE = ("20280304T090000", "20280304T100000")


@pytest.fixture
def server(request: pytest.FixtureRequest) -> CyrusServer:
    server = server_named(request, "cyrus")
    assert isinstance(server, CyrusServer)
    return server


@pytest.fixture
async def at(server: CyrusServer, quick_folder: Path) -> AsyncIterator[Desk]:
    async with desk(server, quick_folder) as made:
        yield made


def _keeper(at: Desk, calendar: str) -> CyrusServer:
    keeper = at.keepers[calendar]
    assert isinstance(keeper, CyrusServer)
    return keeper


async def test_a_copy_that_a_person_moved_to_another_calendar_is_in_the_way_and_told_so(at: Desk) -> None:
    at.put_a("4", on(4))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    keeper = _keeper(at, at.b)
    elsewhere = keeper.make_calendar()
    (name,) = at.copies(at.b)
    keeper.request("MOVE", urljoin(at.b, name), headers={"Destination": urljoin(elsewhere, name)})
    assert (list(keeper.list(at.b)), list(keeper.list(elsewhere))) == ([], [name])
    assert done(await at.app.sync(pair)) == [("skip", "copy_deleted_by_person")]
    at.put_a("4", event("uid-4", stamp(6), stamp(6, 10)))
    for _ in range(3):
        report = await at.app.run(pair)
        assert (report.status, set(done(report))) == ("partial", {("skip", "id_taken")})
    assert (list(keeper.list(at.b)), list(keeper.list(elsewhere))) == ([], [name])
    keeper.delete(elsewhere, name)
    at.app.clock.advance(hours=25)
    assert (await at.app.sync(pair)).events_created == 1
    assert days(at) == [6]


async def test_two_calendars_of_one_person_are_kept_in_step(at: Desk) -> None:
    keeper = _keeper(at, at.a)
    other = keeper.make_calendar()
    at.keepers[other] = keeper
    pair = await at.app.pair(at.conn_a, await at.connect(at.app, at.account, other))
    at.put_a("4", on(4))
    at.put(other, "5.ics", on(5))
    assert (await at.app.sync(pair)).events_created == 2
    assert (days(at, at.a), days(at, other)) == ([5], [4])
    assert (await at.app.sync(pair)).operations == ()


@dataclass
class Meeting:
    """A meeting that the keeper of a organizes, and its guest, whose calendar is `invited`."""

    at: Desk
    guest: CyrusServer

    @property
    def address(self) -> str:
        return f"{self.guest.username}@example.com"

    @property
    def invited(self) -> str:
        return f"{self.guest.home}Default/"

    def invite(self) -> None:
        self.guest.list(self.guest.home)  # Cyrus makes the default calendar at the first look
        organizer = f"{_keeper(self.at, self.at.a).username}@example.com"
        people = (
            f"ORGANIZER:mailto:{organizer}\nATTENDEE;PARTSTAT=ACCEPTED:mailto:{organizer}\n"
            f"ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:{self.address}"
        )
        self.at.put_a("meeting", event("meeting", *FUTURE, extra=people))
        assert len(self.guest.list(self.invited)) == 1

    def answer(self, partstat: str) -> None:
        ((name, data),) = self.guest.read_all(self.invited).items()
        text = data.decode().replace("\n ", "")
        before, _, mine = text.partition("ATTENDEE;RSVP=TRUE;PARTSTAT=")
        self.guest.put(
            self.invited, name, f"{before}ATTENDEE;RSVP=TRUE;PARTSTAT={partstat}:{mine.partition(':')[2]}"
        )


@pytest.fixture
def meeting(at: Desk, server: CyrusServer) -> Meeting:
    return Meeting(at, server.newcomer())


async def test_a_meeting_that_the_owner_organizes(at: Desk, meeting: Meeting) -> None:
    meeting.invite()
    pair = await at.pair(direction="a_to_b", sync_mode="full", future_days=1000)
    assert (await at.app.sync(pair)).events_created == 1
    before = at.versions(at.a)
    assert "SCHEDULE-STATUS" in at.read(at.a)["meeting.ics"], "Cyrus tells the organizer of its delivery"
    meeting.answer("ACCEPTED")
    assert at.versions(at.a) != before, "and of the answer"
    assert (await at.app.sync(pair)).operations == ()
    (copy,) = at.copies_b()
    assert not [word for word in ("ORGANIZER", "ATTENDEE", "SCHEDULE-") if word in copy]
    at.delete(at.a, "meeting.ics")
    assert (await at.app.sync(pair)).events_deleted == 1
    assert at.copies_b() == []


async def test_a_meeting_that_the_owner_is_invited_to(at: Desk, meeting: Meeting) -> None:
    meeting.invite()
    at.keepers[meeting.invited] = meeting.guest
    source = await at.connect(at.app, at.account, meeting.invited, email=meeting.address)
    pair = await at.app.pair(source, at.conn_b, direction="a_to_b", future_days=1000)
    assert (await at.app.sync(pair)).events_created == 1, "unanswered"
    meeting.answer("DECLINED")
    assert done(await at.app.sync(pair)) == [("delete", "declined"), ("skip", "declined")]
    meeting.answer("ACCEPTED")
    assert (await at.app.sync(pair)).events_created == 1
    at.delete(at.a, "meeting.ics")
    assert "STATUS:CANCELLED" in "".join(at.read(meeting.invited).values())
    assert (await at.app.sync(pair)).events_deleted == 1
    assert at.copies_b() == []


def _invite_to_the_copy(at: Desk, meeting: Meeting) -> str:
    """The keeper of b invites the guest to the one copy; its name."""
    ((name, text),) = at.copies(at.b).items()
    organizer = f"{_keeper(at, at.b).username}@example.com"
    people = f"ORGANIZER:mailto:{organizer}\r\nATTENDEE:mailto:{meeting.address}\r\n"
    meeting.guest.list(meeting.guest.home)
    at.put(at.b, name, text.replace("END:VEVENT", f"{people}END:VEVENT"))
    assert len(meeting.guest.list(meeting.invited)) == 1
    return name


async def test_rule_10_guests_of_a_copy_hear_nothing_of_what_we_do_to_it(at: Desk, meeting: Meeting) -> None:
    at.put_a("4", event("uid-4", *FUTURE))
    pair = await at.pair(direction="a_to_b", future_days=1000)
    await at.app.sync(pair)
    _invite_to_the_copy(at, meeting)
    invitation = meeting.guest.read_all(meeting.invited)
    assert (await at.app.sync(pair)).operations == ()
    assert "ORGANIZER" in at.copies_b()[0], "guests are nothing that would be put right"
    at.put_a("4", event("uid-4", "20280305T090000", "20280305T100000"))
    assert (await at.app.sync(pair)).events_updated == 1
    assert "ORGANIZER" not in at.copies_b()[0]
    assert meeting.guest.read_all(meeting.invited) == invitation


async def test_rule_20_kept_copies_keep_their_guests(at: Desk, meeting: Meeting) -> None:
    at.put_a("4", event("uid-4", *FUTURE))
    pair = await at.pair(direction="a_to_b", future_days=1000)
    await at.app.sync(pair)
    name = _invite_to_the_copy(at, meeting)
    await at.app.change_pair(pair, removal="keep")
    await at.app.sync(pair)
    assert at.copies_b() == []
    assert meeting.address in at.read(at.b)[name]
