"""Servers without sync-collection, and SOGo, whose tokens are a clock."""

from __future__ import annotations

import re
import time

import pytest

from calendarsync.providers.base import Forbidden, Unavailable
from tests.providers.caldav.helpers import (
    TOKEN,
    DavPerson,
    is_multiget,
    is_sync,
    own_tokens,
    without_token,
)
from tests.providers.contract import Mirror, copy_of
from tests.testbed.proxy import Answer, Forward, Proxy, Request


class TestWithoutSyncCollection:
    @pytest.fixture(params=[403, 405, 415, 500, 501])
    def old(self, proxy: Proxy, request: pytest.FixtureRequest) -> Proxy:
        status: int = request.param

        async def hook(request: Request, forward: Forward) -> Answer:
            if is_sync(request):
                return Answer(status)
            answer = await forward(request)
            body = re.sub(rb"<supported-report-set>.*</supported-report-set>", b"", answer.body)
            return Answer(answer.status, body, answer.headers)

        proxy.hook = hook
        return proxy

    async def test_the_ctag_tells_and_is_remembered(
        self, old: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        kept, gone = await person.add("Standup"), await person.add("Lunch")
        first = await mirror.refresh()
        assert first.reading.listed == {kept, gone}
        quiet = await mirror.refresh()
        assert (quiet.requests, quiet.nothing, quiet.reading.listed) == (1, True, None)
        await person.remove(gone)
        await person.edit(kept, "Standup 2")
        old.requests.clear()
        again = await mirror.refresh()
        assert again.removed == {gone}
        assert set(again.changed) == {kept}
        assert old.methods == ["PROPFIND", "PROPFIND", "REPORT"]
        assert not any(is_sync(request) for request in old.requests)

    async def test_without_a_ctag_all_is_listed_each_time(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        async def hook(request: Request, forward: Forward) -> Answer:
            if is_sync(request):
                return Answer(501)
            answer = await forward(request)
            return Answer(
                answer.status, re.sub(rb"<CS:getctag>.*?</CS:getctag>", b"", answer.body), answer.headers
            )

        proxy.hook = hook
        gone = await person.add("Standup")
        await mirror.refresh()
        assert (await mirror.refresh()).reading.listed == {gone}
        await person.remove(gone)
        assert (await mirror.refresh()).removed == {gone}

    async def test_a_failure_of_a_server_that_has_it_passes(self, proxy: Proxy, mirror: Mirror) -> None:
        """A 500 now and then must not turn sync-collection off for good."""

        async def hook(request: Request, forward: Forward) -> Answer:
            return Answer(500) if is_sync(request) else await forward(request)

        proxy.hook = hook
        with pytest.raises(Unavailable):
            await mirror.refresh()

    async def test_a_forbidden_calendar_is_forbidden(self, proxy: Proxy, mirror: Mirror) -> None:
        async def hook(request: Request, forward: Forward) -> Answer:
            return Answer(403)

        proxy.hook = hook
        with pytest.raises(Forbidden):
            await mirror.refresh()

    async def test_a_truncated_listing_deletes_nothing(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        cut = False

        async def hook(request: Request, forward: Forward) -> Answer:
            if is_sync(request):
                return Answer(501)
            answer = await forward(request)
            if cut and request.headers.get("Depth") == "1" and request.method == "PROPFIND":
                row = b"<response><href>%s</href><status>HTTP/1.1 507 x</status></response></multistatus>"
                head = re.sub(rb"<response>.*", b"", answer.body)
                return Answer(207, head + row % request.path.encode())
            return answer

        proxy.hook = hook
        await person.add("Standup")
        await mirror.refresh()
        await person.add("Lunch")
        cut = True
        again = await mirror.refresh()
        assert again.reading.listed is None
        assert again.removed == set()
        cut = False
        await mirror.refresh()
        assert mirror.titles == {"Standup", "Lunch"}


class TestSogo:
    """Its ctag and token are the second of the last change."""

    @pytest.fixture
    def now(self) -> int:
        return 1_770_000_000

    async def test_a_token_is_sent_with_an_overlap(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson, now: int
    ) -> None:
        """Rows of the token's own second come again; their ETags are known, so they cost nothing."""
        sent: list[bytes] = []

        async def hook(request: Request, forward: Forward) -> Answer:
            if not is_sync(request):
                return await forward(request)
            sent.extend(TOKEN.findall(request.body))
            return own_tokens(lambda token: str(now).encode())(await forward(without_token(request)))

        proxy.hook = hook
        await person.add("Standup")
        await mirror.refresh()
        await person.add("Lunch")  # within the same second
        again = await mirror.refresh()
        assert sent == [b"", str(now - 1).encode()]
        assert mirror.titles == {"Standup", "Lunch"}
        assert len(again.changed) == 1
        quiet = await mirror.refresh()
        assert (quiet.requests, quiet.nothing) == (1, True)

    @pytest.mark.parametrize(("age", "relies"), [(0, False), (1, False), (3, True), (None, False)])
    async def test_a_ctag_is_relied_on_when_its_second_is_over(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson, now: int, age: int | None, relies: bool
    ) -> None:
        async def hook(request: Request, forward: Forward) -> Answer:
            if is_sync(request):
                return Answer(501)
            answer = await forward(request)
            body = re.sub(rb"(<CS:getctag>).*?(</)", rb"\g<1>%d\g<2>" % now, answer.body)
            date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now + (age or 0)))
            return Answer(answer.status, body, answer.headers).changed(
                Date=date if age is not None else "never"
            )

        proxy.hook = hook
        await person.add("Standup")
        await mirror.refresh()
        await person.add("Lunch")  # the ctag stays as it is
        await mirror.refresh()
        assert ("Lunch" in mirror.titles) is not relies

    async def test_raw_spaces_in_hrefs(self, proxy: Proxy, mirror: Mirror, person: DavPerson) -> None:
        async def hook(request: Request, forward: Forward) -> Answer:
            body = request.body.replace(b" and ", b"%20and%20")
            answer = await forward(Request(request.method, request.path, request.headers, body))
            spaced = answer.body.replace(b"%20and%20", b" and ")
            return Answer(answer.status, spaced, answer.headers)

        proxy.hook = hook
        name = await person.add("Standup", "you and me.ics")
        await mirror.refresh()
        assert list(mirror.resources) == [name]
        multiget = next(request for request in proxy.requests if is_multiget(request))
        assert b"/you and me.ics</D:href>" in multiget.body  # the server's own spelling
        known = mirror.resources[name]
        assert await mirror.calendar.fetch([name]) == [known]
        await mirror.calendar.update(name, known.version, copy_of(known.uid, "Changed"))
        await mirror.refresh()
        assert mirror.titles == {"Changed"}
