"""The test servers themselves: what other tests rely on."""

from __future__ import annotations

import pytest

from tests.testbed.dav import DavServer

EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:20260101T000000Z\r\n"
    "DTSTART:20260301T090000Z\r\nDTEND:20260301T100000Z\r\nSUMMARY:Standup\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


@pytest.mark.parametrize("name", ["radicale", "xandikos"])
def test_a_calendar_can_be_made_filled_listed_and_emptied(name: str, request: pytest.FixtureRequest) -> None:
    server: DavServer = request.getfixturevalue(name)
    calendar = server.make_calendar()
    server.put(calendar, "a%20b.ics", EVENT)
    assert list(server.list(calendar)) == ["a b.ics"]
    assert b"SUMMARY:Standup" in (server.get(calendar, "a%20b.ics") or b"")
    server.delete(calendar, "a%20b.ics")
    assert server.list(calendar) == {}
    assert server.get(calendar, "a%20b.ics") is None
