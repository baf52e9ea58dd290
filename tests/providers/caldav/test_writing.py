"""Conditional writes on real servers, and on those that read conditions in a way of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from calendarsync.domain.event import Duration, EventTime, Recurrence
from calendarsync.net import HttpClient
from calendarsync.providers.base import (
    CalendarNotFound,
    Changed,
    Forbidden,
    IdTaken,
    ProviderError,
    RateLimited,
    Refused,
    Unavailable,
)
from calendarsync.providers.caldav import CalDavCalendar, quirks
from tests.providers.caldav.helpers import DavPerson, event, is_multiget, opened
from tests.providers.contract import COPY_ID, MARK, Mirror, component, copy_of, title_of
from tests.testbed.dav import DavServer
from tests.testbed.proxy import Answer, Forward, Proxy, Request
from tests.testbed.radicale import RadicaleServer, radicale_server

CALDAV = "urn:ietf:params:xml:ns:caldav"


def error_body(name: str) -> bytes:
    return f'<error xmlns="DAV:" xmlns:C="{CALDAV}"><{name}/></error>'.encode()


@pytest.fixture
def calendar(mirror: Mirror) -> CalDavCalendar:
    assert isinstance(mirror.calendar, CalDavCalendar)
    return mirror.calendar


def answering(proxy: Proxy, method: str, answer: Answer) -> None:
    """Answer one method so, without passing it on."""

    async def hook(request: Request, forward: Forward) -> Answer:
        return answer if request.method == method else await forward(request)

    proxy.hook = hook


class TestCreate:
    @pytest.mark.parametrize("server_name", ["radicale", "xandikos"])
    async def test_a_uid_that_is_taken_elsewhere_in_the_calendar(
        self, server_name: str, client: HttpClient, request: pytest.FixtureRequest
    ) -> None:
        """Radicale: 409; Xandikos: 412."""
        server: DavServer = request.getfixturevalue(server_name)
        url = server.make_calendar()
        server.put(url, "other.ics", event(COPY_ID))
        with pytest.raises(IdTaken):
            await opened(client, server, url).create(copy_of())
        assert list(server.list(url)) == ["other.ics"]

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(403, error_body("C:no-uid-conflict")),  # Cyrus, across calendars too
            Answer(409, error_body("C:no-uid-conflict")),
            Answer(412, error_body("C:no-uid-conflict")),
            Answer(409),  # SOGo
        ],
    )
    async def test_all_ways_to_say_that_a_uid_is_taken(
        self, proxy: Proxy, calendar: CalDavCalendar, answer: Answer
    ) -> None:
        answering(proxy, "PUT", answer)
        with pytest.raises(IdTaken):
            await calendar.create(copy_of())

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (Answer(400), Refused),
            (Answer(413), Refused),
            (Answer(415), Refused),
            (Answer(422), Refused),
            (Answer(507), Refused),
            (Answer(412), Refused),
            (Answer(403, error_body("C:valid-calendar-data")), Refused),
            (Answer(403, error_body("C:supported-calendar-component")), Refused),
            (Answer(403, error_body("C:max-resource-size")), Refused),
            (Answer(409, error_body("C:max-instances")), Refused),
            (Answer(412, error_body("C:max-date-time")), Refused),
            (Answer(403), Refused),  # the privileges of the calendar allow writing: it is this event
            (Answer(403, error_body("need-privileges")), Forbidden),
            (Answer(404), CalendarNotFound),
            (Answer(405), ProviderError),
            (Answer(423), Unavailable),
            (Answer(500), Unavailable),
            (Answer(503), Unavailable),
        ],
    )
    async def test_other_refusals(
        self, proxy: Proxy, calendar: CalDavCalendar, answer: Answer, error: type[ProviderError]
    ) -> None:
        answering(
            proxy, "PUT", Answer(answer.status, answer.body or b"<html>SECRET words of the server</html>")
        )
        with pytest.raises(error) as raised:
            await calendar.create(copy_of(title="canary-title"))
        assert "SECRET" not in raised.value.message
        assert "canary" not in raised.value.message
        assert "http" not in raised.value.message

    async def test_a_bare_403_on_a_read_only_calendar(self, proxy: Proxy, calendar: CalDavCalendar) -> None:
        async def hook(request: Request, forward: Forward) -> Answer:
            if request.method == "PUT":
                return Answer(403)
            answer = await forward(request)
            return Answer(
                207, re.sub(rb"<D?:?(write[\w-]*|all|bind)\s*/>", b"<read/>", answer.body), answer.headers
            )

        proxy.hook = hook
        with pytest.raises(Forbidden):
            await calendar.create(copy_of())

    async def test_the_calendar_is_gone(
        self, calendar: CalDavCalendar, radicale: RadicaleServer, url: str
    ) -> None:
        """Radicale answers 409 where the collection is not there (RFC 4918 section 9.7.1)."""
        radicale.delete(url)
        with pytest.raises(CalendarNotFound):
            await calendar.create(copy_of())

    async def test_an_event_too_large_for_radicale(self, client: HttpClient, tmp_path: Path) -> None:
        """Radicale says 412, as if the name were taken."""
        with radicale_server(tmp_path, server="max_resource_size = 3000") as server:
            calendar = opened(client, server, server.make_calendar())
            await calendar.create(copy_of("small"))
            with pytest.raises(Refused):
                await calendar.create(copy_of(description="long " * 2000))

    @pytest.mark.parametrize("etag", ["", 'W/"weak"'])
    async def test_without_a_strong_etag_it_is_read_again(
        self, proxy: Proxy, mirror: Mirror, etag: str
    ) -> None:
        """sabre and DAViCal send none where they changed the data; GMX sends a weak one."""

        async def hook(request: Request, forward: Forward) -> Answer:
            if request.method == "PUT":
                body = request.body.replace(b"SUMMARY:Busy", b"SUMMARY:Busy (changed by the server)")
                answer = await forward(Request("PUT", request.path, request.headers, body))
                return answer.changed(ETag=etag)
            return await forward(request)

        proxy.hook = hook
        written = await mirror.calendar.create(copy_of())
        assert title_of(written) == "Busy (changed by the server)"
        updated = await mirror.calendar.update(written.id, written.version, copy_of(hour=11))
        assert updated.version not in (None, written.version)
        mirror.note(updated)
        assert (await mirror.refresh()).changed == {}

    async def test_a_server_that_does_not_show_it_yet(self, proxy: Proxy, mirror: Mirror) -> None:
        """Purelymail and Bedework: what was written is seen after a while. The version stays unknown."""
        hidden = True

        async def hook(request: Request, forward: Forward) -> Answer:
            if hidden and request.method == "GET":
                return Answer(404)
            if hidden and is_multiget(request):
                return Answer(207, b'<multistatus xmlns="DAV:"/>')
            answer = await forward(request)
            return answer.changed(ETag="") if request.method == "PUT" else answer

        proxy.hook = hook
        written = await mirror.calendar.create(copy_of())
        assert (written.version, written.mark) == (None, MARK)
        mirror.note(written)
        hidden = False
        await mirror.refresh()
        assert mirror.resources[written.id].version is not None

    async def test_a_server_that_chooses_the_name(
        self, proxy: Proxy, mirror: Mirror, radicale: RadicaleServer, url: str
    ) -> None:
        async def hook(request: Request, forward: Forward) -> Answer:
            if request.method == "PUT":
                path = request.path.replace(COPY_ID, "chosen")
                answer = await forward(Request("PUT", path, request.headers, request.body))
                return answer.changed(Location=path)
            return await forward(request)

        proxy.hook = hook
        assert (await mirror.calendar.create(copy_of())).id == "chosen.ics"
        await mirror.refresh()
        assert set(mirror.resources) == {"chosen.ics"}

    async def test_a_server_that_chooses_the_uid_as_well(
        self, proxy: Proxy, mirror: Mirror, radicale: RadicaleServer, url: str
    ) -> None:
        """As Exchange does behind a gateway: an ETag does not mean that it stored what it was given."""

        async def hook(request: Request, forward: Forward) -> Answer:
            if request.method == "PUT":
                path = request.path.replace(COPY_ID, "chosen")
                body = request.body.replace(f"UID:{COPY_ID}".encode(), b"UID:theirs")
                answer = await forward(Request("PUT", path, request.headers, body))
                return answer.changed(Location=path)
            return await forward(request)

        proxy.hook = hook
        made = await mirror.calendar.create(copy_of())
        assert (made.id, made.uid) == ("chosen.ics", "theirs")

    async def test_uids_that_are_not_unique_are_accepted(
        self, proxy: Proxy, mirror: Mirror, radicale: RadicaleServer, url: str
    ) -> None:
        """sabre and DAViCal accept a second event with the same UID: both are read."""
        other = event("other")
        radicale.put(url, "other.ics", other)

        async def hook(request: Request, forward: Forward) -> Answer:
            answer = await forward(request)
            return Answer(
                answer.status, answer.body.replace(b"UID:other", f"UID:{COPY_ID}".encode()), answer.headers
            )

        proxy.hook = hook
        written = await mirror.calendar.create(copy_of())
        await mirror.refresh()
        assert {item.uid for item in mirror.resources.values()} == {COPY_ID}
        assert set(mirror.resources) == {"other.ics", written.id}


class TestConditions:
    async def test_if_match_is_a_version_and_never_any(
        self, proxy: Proxy, calendar: CalDavCalendar, person: DavPerson
    ) -> None:
        """iCloud reads `If-Match: *` the wrong way round."""
        written = await calendar.create(copy_of())
        updated = await calendar.update(written.id, written.version, copy_of(hour=10))
        blind = await calendar.update(updated.id, None, copy_of(hour=12))
        unmarked = await calendar.unmark(blind.id, blind.version)
        assert unmarked is not None
        await calendar.delete(unmarked.id, None)
        sent = [request.headers.get("If-Match") for request in proxy.requests]
        assert "*" not in sent
        assert [value for value in sent if value] == [written.version, blind.version]
        created = [request for request in proxy.requests if "If-None-Match" in request.headers]
        assert [request.headers["If-None-Match"] for request in created] == ["*"]

    @pytest.mark.parametrize("status", [404, 410, 412])
    async def test_a_delete_of_what_is_gone(
        self, proxy: Proxy, calendar: CalDavCalendar, person: DavPerson, status: int
    ) -> None:
        """Some servers answer 412 where there is nothing that could match."""
        written = await calendar.create(copy_of())
        await person.remove(written.id)
        answering(proxy, "DELETE", Answer(status))
        await calendar.delete(written.id, written.version)

    async def test_a_412_without_a_change_is_a_change_all_the_same(
        self, proxy: Proxy, calendar: CalDavCalendar
    ) -> None:
        written = await calendar.create(copy_of())
        answering(proxy, "DELETE", Answer(412))
        with pytest.raises(Changed):
            await calendar.delete(written.id, written.version)

    async def test_weak_etags_that_cannot_match(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        """RFC 9110: If-Match compares strongly. The version is compared by us, then written without."""

        async def hook(request: Request, forward: Forward) -> Answer:
            if request.headers.get("If-Match", "").startswith("W/"):
                return Answer(412)
            answer = await forward(request)
            weak = re.sub(rb"<getetag>", b"<getetag>W/", answer.body)
            return Answer(answer.status, weak, answer.headers).changed(ETag="")

        proxy.hook = hook
        calendar = mirror.calendar
        first = await calendar.create(copy_of())
        second = await calendar.update(first.id, first.version, copy_of(hour=11))
        await person.edit(second.id, "Mine now")
        with pytest.raises(Changed):
            await calendar.update(second.id, second.version, copy_of(hour=12))
        with pytest.raises(Changed):
            await calendar.delete(second.id, second.version)
        await mirror.refresh()
        third = mirror.resources[second.id]
        assert title_of(third) == "Mine now"
        await calendar.delete(third.id, third.version)
        assert await calendar.fetch([third.id]) == []

    async def test_slow_down_while_writing(self, proxy: Proxy, calendar: CalDavCalendar) -> None:
        answering(proxy, "PUT", Answer(429).changed(Retry_After="17"))
        with pytest.raises(RateLimited) as raised:
            await calendar.create(copy_of())
        assert raised.value.retry_after == 17

    async def test_unmark_keeps_what_we_know_nothing_of(
        self, proxy: Proxy, calendar: CalDavCalendar, radicale: RadicaleServer, url: str
    ) -> None:
        written = await calendar.create(copy_of())
        data = (radicale.get(url, f"{COPY_ID}.ics") or b"").decode()
        added = data.replace("END:VEVENT", "X-THEIRS:kept\r\nATTENDEE:mailto:you@b.example\r\nEND:VEVENT")
        radicale.put(url, f"{COPY_ID}.ics", added)
        [current] = await calendar.fetch([written.id])
        assert current.mark == MARK
        unmarked = await calendar.unmark(current.id, current.version)
        assert unmarked is not None
        stored = (radicale.get(url, f"{COPY_ID}.ics") or b"").decode()
        assert "X-THEIRS:kept" in stored
        assert "you@b.example" in stored
        assert MARK.split(";")[1] not in stored
        put = [request.body for request in proxy.requests if request.method == "PUT"][-1]
        assert put.count(b"\n") == put.count(b"\r\n")  # XML reads CRLF as LF


class TestSogo:
    """`If-None-Match: *` overwrites, DELETE ignores If-Match: both are checked by us first."""

    @pytest.fixture
    def sogo(self, proxy: Proxy, client: HttpClient, radicale: RadicaleServer, url: str) -> CalDavCalendar:
        async def hook(request: Request, forward: Forward) -> Answer:
            body = request.body.replace(b"/SOGo/dav/", b"/")
            request = Request(request.method, request.path.replace("/SOGo/dav/", "/"), request.headers, body)
            if request.method in ("PUT", "DELETE"):
                request = request.changed(If_None_Match="", If_Match="")
            answer = await forward(request)
            return Answer(answer.status, answer.body.replace(b"<href>/", b"<href>/SOGo/dav/"), answer.headers)

        proxy.hook = hook
        return opened(client, radicale, proxy.url(url).replace("/alice/", "/SOGo/dav/alice/"))

    async def test_a_repeated_create_overwrites_nothing(self, sogo: CalDavCalendar) -> None:
        written = await sogo.create(copy_of(title="First"))
        with pytest.raises(IdTaken):
            await sogo.create(copy_of(title="Second"))
        assert await sogo.fetch([written.id]) == [written]

    async def test_a_delete_minds_the_version(self, sogo: CalDavCalendar, person: DavPerson) -> None:
        written = await sogo.create(copy_of())
        await person.edit(written.id, "Mine now")
        with pytest.raises(Changed):
            await sogo.delete(written.id, written.version)
        [current] = await sogo.fetch([written.id])
        await sogo.delete(current.id, current.version)
        await sogo.delete(current.id, current.version)
        assert await sogo.fetch([written.id]) == []


class TestIcloud:
    """It refuses events without a DTEND."""

    @pytest.mark.parametrize(
        ("start", "duration", "end"),
        [
            ("2026-03-28T09:00:00[Europe/Berlin]", "1d3600s", "2026-03-29T10:00:00[Europe/Berlin]"),
            ("2026-03-28T09:00:00[Europe/Berlin]", "0d90000s", "2026-03-29T11:00:00[Europe/Berlin]"),
            ("2026-03-28T09:00:00Z", "0d1800s", "2026-03-28T09:30:00Z"),
            ("2026-03-28T09:00:00", "1d60s", "2026-03-29T09:01:00"),
            ("2026-03-28", "2d0s", "2026-03-30"),
        ],
    )
    def test_durations_become_ends(self, start: str, duration: str, end: str) -> None:
        master = component(
            start=EventTime.parse(start),
            end=None,
            duration=Duration.parse(duration),
            recurrence=Recurrence(("FREQ=DAILY;COUNT=2",)),
        )
        copy = copy_of()
        copy = type(copy)(copy.id, copy.mark, master, (master,))
        [adapted] = quirks.spellings(copy, "https://p42-caldav.icloud.com/1/calendars/x/")
        for part in (adapted.master, *adapted.overrides):
            assert (str(part.end), part.duration) == (end, None)
        assert list(quirks.spellings(copy, "https://noticloud.example/")) == [copy]
