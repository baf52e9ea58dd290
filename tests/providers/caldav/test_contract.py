"""The contract of all providers, against real servers."""

from __future__ import annotations

import pytest

from calendarsync.net import HttpClient
from calendarsync.providers.caldav import CalDavCalendar
from tests.providers.caldav.helpers import DavPerson, opened
from tests.providers.contract import CalendarContract, Mirror, copy_of
from tests.testbed.dav import DavServer
from tests.testbed.radicale import RadicaleServer
from tests.testbed.xandikos import XandikosServer

NAMES = ["plain.ics", "a b.ics", "a@b.ics", "größe ☕.ics", "50%.ics", "a+b&c=d;e,f.ics", "x#y?z.ics"]


class _OnCalDav(CalendarContract):
    @pytest.fixture
    def url(self, server: DavServer) -> str:
        return server.make_calendar()

    @pytest.fixture
    def calendar(self, client: HttpClient, server: DavServer, url: str) -> CalDavCalendar:
        return opened(client, server, url)

    @pytest.fixture
    def person(self, server: DavServer, url: str) -> DavPerson:
        return DavPerson(server, url)

    async def test_names_may_hold_any_character(self, mirror: Mirror, person: DavPerson) -> None:
        ids = {name: await person.add(name, name) for name in NAMES}
        await mirror.refresh()
        assert len(mirror.resources) == len(NAMES)
        fetched = {item.contents[""].title: item for item in await mirror.calendar.fetch(list(mirror.resources))}
        assert set(fetched) == set(NAMES)
        for name in ids:
            item = fetched[name]
            changed = await mirror.calendar.update(item.id, item.version, copy_of("c" + name[0], "Busy"))
            await mirror.calendar.delete(changed.id, changed.version)
        await mirror.refresh()
        assert mirror.resources == {}


class TestRadicale(_OnCalDav):
    @pytest.fixture
    def server(self, radicale: RadicaleServer) -> DavServer:
        return radicale


class TestXandikos(_OnCalDav):
    @pytest.fixture
    def server(self, xandikos: XandikosServer) -> DavServer:
        return xandikos
