"""The contract of all providers, against real servers."""

from __future__ import annotations

import pytest

from calendarsync.net import HttpClient
from calendarsync.providers.base import IdTaken
from calendarsync.providers.caldav import CalDavCalendar
from tests.providers.caldav.helpers import DavPerson, RadicalePerson, opened
from tests.providers.contract import CalendarContract, Mirror, copy_of
from tests.providers.contract_amend import AmendContract
from tests.testbed.cyrus import CyrusServer
from tests.testbed.dav import DavServer
from tests.testbed.fixtures import SERVERS, server_named
from tests.testbed.radicale import RadicaleServer
from tests.testbed.xandikos import XandikosServer

NAMES = ["plain.ics", "a b.ics", "a@b.ics", "größe ☕.ics", "50%.ics", "a%20b.ics"]


class _OnCalDav(CalendarContract):
    one_uid_a_person = False  # or each of a person's calendars may hold an event with the same UID

    @pytest.fixture
    def url(self, server: DavServer) -> str:
        return server.make_calendar()

    @pytest.fixture
    def calendar(self, client: HttpClient, server: DavServer, url: str) -> CalDavCalendar:
        return opened(client, server, url)

    @pytest.fixture
    def person(self, server: DavServer, url: str) -> DavPerson:
        return DavPerson(server, url)

    @pytest.fixture
    def names(self) -> list[str]:
        return NAMES

    async def test_names_may_hold_any_character(
        self, mirror: Mirror, person: DavPerson, names: list[str]
    ) -> None:
        for name in names:
            await person.add(name, name)
        await mirror.refresh()
        assert len(mirror.resources) == len(names)
        fetched = {
            item.contents[""].title: item for item in await mirror.calendar.fetch(list(mirror.resources))
        }
        assert set(fetched) == set(names)
        for item in fetched.values():
            changed = await mirror.calendar.update(item.id, item.version, copy_of(item.uid, "Busy"))
            await mirror.calendar.delete(changed.id, changed.version)
        await mirror.refresh()
        assert mirror.resources == {}

    async def test_a_uid_that_another_calendar_of_the_same_person_holds(
        self, client: HttpClient, server: DavServer, mirror: Mirror
    ) -> None:
        elsewhere = opened(client, server, server.make_calendar())
        there = await elsewhere.create(copy_of())
        if self.one_uid_a_person:
            with pytest.raises(IdTaken):
                await mirror.calendar.create(copy_of())
            await elsewhere.delete(there.id, there.version)
        mirror.note(await mirror.calendar.create(copy_of()))
        assert (await mirror.refresh()).nothing


class TestRadicale(_OnCalDav):
    @pytest.fixture
    def person(self, server: DavServer, url: str) -> DavPerson:
        return RadicalePerson(server, url)

    @pytest.fixture
    def server(self, radicale: RadicaleServer) -> DavServer:
        return radicale


class TestXandikos(_OnCalDav):
    @pytest.fixture
    def names(self) -> list[str]:
        return [*NAMES, "a+b&c=d;e,f.ics", "x#y?z.ics"]  # Radicale refuses them

    @pytest.fixture
    def server(self, xandikos: XandikosServer) -> DavServer:
        return xandikos


class TestCyrus(_OnCalDav):
    one_uid_a_person = True

    @pytest.fixture
    def server(self, cyrus: CyrusServer) -> DavServer:
        return cyrus.newcomer()


class TestCalDavAmends(AmendContract):
    @pytest.fixture(params=SERVERS)
    def server(self, request: pytest.FixtureRequest) -> DavServer:
        server = server_named(request, request.param)
        return server.newcomer() if isinstance(server, CyrusServer) else server

    @pytest.fixture
    def url(self, server: DavServer) -> str:
        return server.make_calendar()

    @pytest.fixture
    def calendar(self, client: HttpClient, server: DavServer, url: str) -> CalDavCalendar:
        return opened(client, server, url)

    @pytest.fixture
    def person(self, server: DavServer, url: str) -> DavPerson:
        return RadicalePerson(server, url) if isinstance(server, RadicaleServer) else DavPerson(server, url)
