"""Odd rows and broken events: one never holds up the others, and none looks like a deletion."""

from __future__ import annotations

import asyncio
import re

import pytest

from calendarsync.domain.event import Problem
from calendarsync.net import HttpClient
from calendarsync.providers.base import Batch, CalendarNotFound, Forbidden, NotACalendar, Unavailable
from tests.providers.caldav.helpers import (
    DavPerson,
    event,
    is_multiget,
    is_sync,
    opened,
)
from tests.providers.contract import Mirror, copy_of
from tests.testbed.proxy import Answer, Forward, Proxy, Request
from tests.testbed.radicale import RadicaleServer
from tests.testbed.xandikos import XandikosServer


class TestMultiget:
    @pytest.mark.parametrize("status", [403, 405, 501])
    async def test_servers_without_it_are_asked_one_by_one(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson, status: int
    ) -> None:
        async def hook(request: Request, forward: Forward) -> Answer:
            return Answer(status) if is_multiget(request) else await forward(request)

        proxy.hook = hook
        for number in range(3):
            await person.add(f"Event {number}")
        await mirror.refresh()
        assert mirror.titles == {"Event 0", "Event 1", "Event 2"}
        await person.add("Event 3")
        proxy.requests.clear()
        await mirror.refresh()
        assert "Event 3" in mirror.titles
        assert proxy.methods == ["REPORT", "GET"]  # remembered

    @pytest.mark.parametrize("row", [True, False])
    async def test_a_resource_that_vanished_meanwhile(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson, row: bool
    ) -> None:
        """404 row (Radicale, Xandikos), or no row at all."""
        gone, kept = await person.add("Standup"), await person.add("Lunch")

        async def hook(request: Request, forward: Forward) -> Answer:
            if not is_multiget(request):
                return await forward(request)
            if gone in await_list():
                await person.remove(gone)
            answer = await forward(request)
            rows = re.sub(rb"<response>(?:(?!</response>).)*404 Not Found.*?</response>", b"", answer.body)
            return answer if row else Answer(207, rows, answer.headers)

        def await_list() -> str:
            return gone if proxy.methods.count("REPORT") == 2 else ""

        proxy.hook = hook
        first = await mirror.refresh()
        assert set(first.changed) == {kept}
        await mirror.refresh()
        assert set(mirror.resources) == {kept}

    async def test_missing_hrefs_on_real_servers(
        self, client: HttpClient, radicale: RadicaleServer, xandikos: XandikosServer
    ) -> None:
        for server in (radicale, xandikos):
            calendar = opened(client, server, server.make_calendar())
            assert await calendar.fetch(["gone.ics", "a b.ics"]) == []

    async def test_one_broken_event_does_not_hold_up_the_others(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        """A control character makes the whole multiget invalid XML; the rest is read one by one."""
        broken = await person.add("Broken", more="DESCRIPTION:bad")
        await person.add("Standup")

        async def hook(request: Request, forward: Forward) -> Answer:
            answer = await forward(request)
            return Answer(answer.status, answer.body.replace(b":bad", b":b\x01d"), answer.headers)

        proxy.hook = hook
        await mirror.refresh()
        assert set(mirror.resources) >= {broken}
        assert mirror.titles == {"Broken", "Standup"}

    async def test_an_event_that_the_server_cannot_deliver(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        broken = await person.add("Broken")
        await person.add("Standup")

        async def hook(request: Request, forward: Forward) -> Answer:
            if is_multiget(request) or (request.method == "GET" and broken in request.path):
                return Answer(500)
            return await forward(request)

        proxy.hook = hook
        first = await mirror.refresh()
        assert first.changed[broken].problem is Problem.UNREADABLE
        assert first.changed[broken].version is not None
        assert len([item for item in first.changed.values() if item.problem is None]) == 1
        assert (await mirror.refresh()).requests == 1

    async def test_a_server_that_delivers_nothing_is_out_of_order(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        await person.add("Standup")
        await person.add("Lunch")

        async def hook(request: Request, forward: Forward) -> Answer:
            return await forward(request) if is_sync(request) else Answer(500)

        proxy.hook = hook
        with pytest.raises(Unavailable):
            await mirror.refresh()

    @pytest.mark.parametrize(
        ("status", "error"), [(403, Forbidden), (404, CalendarNotFound), (500, Unavailable)]
    )
    async def test_a_calendar_that_cannot_be_read_is_no_broken_event(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson, status: int, error: type[Exception]
    ) -> None:
        name = await person.add("Standup")

        async def hook(request: Request, forward: Forward) -> Answer:
            return Answer(status)

        proxy.hook = hook
        with pytest.raises(error):
            await mirror.calendar.fetch([name])

    async def test_batches_are_handed_over_one_at_a_time(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("calendarsync.providers.caldav.calendar.BATCH", 1)
        await person.fill(4)
        inside = most = 0

        async def on_batch(batch: Batch) -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.02)
            inside -= 1

        await mirror.calendar.read(None, mirror.known, on_batch)
        assert most == 1

    async def test_an_event_larger_than_is_read(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        large = await person.add("Large")
        await person.add("Standup")

        async def hook(request: Request, forward: Forward) -> Answer:
            if is_multiget(request):
                return Answer(207, b" " * (33 * 1024 * 1024))
            if request.method == "GET" and large in request.path:
                return Answer(200, b" " * (9 * 1024 * 1024))
            return await forward(request)

        proxy.hook = hook
        first = await mirror.refresh()
        assert first.changed[large].problem is Problem.TOO_LARGE
        assert len(first.changed) == 2

    async def test_what_is_no_event_comes_with_a_problem(
        self, mirror: Mirror, radicale: RadicaleServer, url: str
    ) -> None:
        task = event("task1").replace("VEVENT", "VTODO").replace("DTEND", "DUE")
        radicale.put(url, "task.ics", task)
        first = await mirror.refresh()
        assert first.changed["task.ics"].problem is Problem.NO_EVENT
        assert (await mirror.refresh()).nothing


class TestRows:
    @pytest.mark.parametrize("sync", [True, False])
    async def test_rows_that_are_no_members_are_left_out(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson, url: str, sync: bool
    ) -> None:
        """iCloud lists the collection itself; others list collections below or rows that are nobody's."""
        kept = await person.add("Standup")

        async def hook(request: Request, forward: Forward) -> Answer:
            if is_sync(request) and not sync:
                return Answer(501)
            answer = await forward(request)
            if is_multiget(request):
                return answer
            path = request.path
            etag = '<propstat><prop><getetag>"x"</getetag></prop><status>HTTP/1.1 200 OK</status></propstat>'
            hrefs = [path, path.rstrip("/"), f"{path}sub/", f"{path}sub/x.ics", "/alice/other/x.ics", "%%%"]
            hrefs += ["http://[bad/x.ics", "/../../x.ics", "\u00a0", "mailto:x@a.example"]
            rows = "".join(f"<response><href>{href}</href>{etag}</response>" for href in hrefs)
            body = answer.body.replace(b"</multistatus>", rows.encode() + b"<response/></multistatus>")
            return Answer(answer.status, body, answer.headers)

        proxy.hook = hook
        first = await mirror.refresh()
        assert mirror.titles == {"Standup"}
        assert first.reading.listed is not None
        assert kept in first.reading.listed
        assert len(first.reading.listed - {kept}) <= 2  # relative hrefs that could be names

    async def test_a_row_that_cannot_be_read_is_not_absent(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        name = await person.add("Standup")
        await mirror.refresh()

        async def hook(request: Request, forward: Forward) -> Answer:
            body = f"<response><href>{request.path}{name}</href><status>HTTP/1.1 403 no</status></response>"
            token = "<sync-token>http://radicale.org/ns/sync/x</sync-token>"
            return Answer(207, f'<multistatus xmlns="DAV:">{body}{token}</multistatus>'.encode())

        proxy.hook = hook
        mirror.cursor = None
        again = await mirror.refresh()
        assert again.reading.listed == {name}
        assert again.removed == set()

    async def test_resources_without_an_etag_are_read_each_time(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        """SmarterMail names no ETags in listings."""

        async def hook(request: Request, forward: Forward) -> Answer:
            if is_sync(request):
                return Answer(501)
            answer = await forward(request)
            return Answer(answer.status, re.sub(rb"<getetag>.*?</getetag>", b"", answer.body), answer.headers)

        proxy.hook = hook
        name = await person.add("Standup")
        await mirror.refresh()
        assert mirror.resources[name].version is None
        await person.edit(name, "Moved")
        await mirror.refresh()
        assert mirror.titles == {"Moved"}

    async def test_a_server_behind_a_crooked_proxy_is_not_read_as_empty(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        """Hrefs under another path than the calendar's must not look like an empty calendar."""

        async def hook(request: Request, forward: Forward) -> Answer:
            answer = await forward(request)
            return Answer(
                answer.status, answer.body.replace(b"<href>/alice", b"<href>/inner/alice"), answer.headers
            )

        proxy.hook = hook
        await person.add("Standup")
        with pytest.raises(NotACalendar):
            await mirror.refresh()

    async def test_a_calendar_that_moved_is_followed(
        self,
        proxy: Proxy,
        mirror: Mirror,
        person: DavPerson,
        radicale: RadicaleServer,
        client: HttpClient,
        url: str,
    ) -> None:
        async def hook(request: Request, forward: Forward) -> Answer:
            if "/old/" in request.path:
                return Answer(301).changed(Location=request.path.replace("/old/", "/alice/"))
            return await forward(request)

        proxy.hook = hook
        moved = Mirror(opened(client, radicale, proxy.url(url).replace("/alice/", "/old/")))
        await person.add("Standup")
        first = await moved.refresh()
        assert moved.titles == {"Standup"}
        assert first.requests == 2  # a redirect counts with its request
        written = await moved.calendar.create(copy_of())
        await moved.calendar.delete(written.id, written.version)
        moved.note(written)
        assert (await moved.refresh()).removed == {written.id}
