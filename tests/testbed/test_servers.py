"""The test servers themselves: what other tests rely on."""

from __future__ import annotations

import pytest

from tests.testbed.cyrus import CyrusServer
from tests.testbed.fixtures import SERVERS, own_server, server_named

EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:20260101T000000Z\r\n"
    "DTSTART:20260301T090000Z\r\nDTEND:20260301T100000Z\r\nSUMMARY:Standup\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


@pytest.mark.parametrize("name", SERVERS)
def test_a_calendar_can_be_made_filled_listed_and_emptied(name: str, request: pytest.FixtureRequest) -> None:
    server = server_named(request, name)
    calendar = server.make_calendar()
    server.put(calendar, "a%20b.ics", EVENT)
    assert list(server.list(calendar)) == ["a b.ics"]
    assert b"SUMMARY:Standup" in (server.get(calendar, "a%20b.ics") or b"")
    server.delete(calendar, "a%20b.ics")
    assert server.list(calendar) == {}
    assert server.get(calendar, "a%20b.ics") is None


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_is_stopped_and_started_holds_what_it_held(name: str) -> None:
    with own_server(name) as server:
        calendar = server.make_calendar()
        server.put(calendar, "a.ics", EVENT)
        assert server.service is not None
        server.service.stop()
        with pytest.raises(ConnectionError):
            server.list(calendar)
        server.service.start()
        assert list(server.list(calendar)) == ["a.ics"]


def test_newcomers_to_cyrus_may_hold_the_same_meeting(cyrus: CyrusServer) -> None:
    for person in (cyrus.newcomer(), cyrus.newcomer()):
        calendar = person.make_calendar()
        person.put(calendar, "a.ics", EVENT)
        with pytest.raises(AssertionError, match="unique-scheduling-object-resource"):
            person.put(person.make_calendar(), "a.ics", EVENT)
