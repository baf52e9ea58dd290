"""sync-collection as servers really do it. A proxy makes Radicale do what none of the test servers does."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from calendarsync.net import HttpClient
from calendarsync.providers.base import Unavailable
from calendarsync.providers.caldav.cursor import Cursor
from tests.providers.caldav.helpers import (
    TOKEN,
    Clock,
    DavPerson,
    is_sync,
    opened,
    own_tokens,
    without_token,
)
from tests.providers.contract import Mirror
from tests.testbed.fixtures import SERVERS, server_named
from tests.testbed.proxy import Answer, Forward, Proxy, Request
from tests.testbed.radicale import RadicaleServer, radicale_server


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "null", "[]", "{}", '{"v": 1}', '{"v": 2, "listed_at": 1}', '{"v": 1, "listed_at": "x"}'),
        *('{"v": 1, "listed_at": 1, "token": 7}', '{"v": 1, "listed_at": 1, "depth": {}}'),
    ],
)
def test_a_cursor_that_is_none_of_ours_is_left(text: str | None) -> None:
    assert Cursor.load(text) is None


def test_cursors_survive_their_text() -> None:
    cursor = Cursor(listed_at=1.5, token="<&>", depth="1", multiget=False)
    assert Cursor.load(cursor.dump()) == cursor


class TestTokens:
    async def test_radicale_forgets_a_token(self, client: HttpClient, tmp_path: Path) -> None:
        """403 with valid-sync-token; a full listing finds the deletion that was never named."""
        with radicale_server(tmp_path, storage="max_sync_token_age = 1") as server:
            calendar = server.make_calendar()
            person = DavPerson(server, calendar)
            mirror = Mirror(opened(client, server, calendar))
            kept, gone = await person.add("Standup"), await person.add("Lunch")
            await mirror.refresh()
            await person.remove(gone)
            await asyncio.sleep(2.1)
            await person.add("Review")
            await Mirror(mirror.calendar).refresh()  # makes Radicale throw the old token away
            again = await mirror.refresh()
            assert again.reading.listed is not None
            assert again.removed == {gone}
            assert kept not in again.changed
            assert mirror.titles == {"Standup", "Review"}

    @pytest.mark.parametrize("server_name", SERVERS)
    async def test_an_unknown_token(
        self, server_name: str, client: HttpClient, request: pytest.FixtureRequest
    ) -> None:
        """Radicale and Cyrus: 403; Xandikos: 412."""
        server = server_named(request, server_name)
        calendar = server.make_calendar()
        person = DavPerson(server, calendar)
        mirror = Mirror(opened(client, server, calendar))
        kept, gone = await person.add("Standup"), await person.add("Lunch")
        await mirror.refresh()
        await person.remove(gone)
        cursor = json.loads(mirror.cursor or "")
        mirror.cursor = json.dumps(cursor | {"token": cursor["token"][:-4] + "0000"})
        again = await mirror.refresh()
        assert (again.removed, again.changed, again.reading.listed) == ({gone}, {}, {kept})
        assert (await mirror.refresh()).requests == 1

    @pytest.mark.parametrize("status", [400, 403, 409, 410, 412, 418])
    async def test_any_refusal_of_a_token(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson, status: int
    ) -> None:
        """Cyrus and sabre: 403; Nextcloud was seen to answer 418 after a deletion."""

        async def hook(request: Request, forward: Forward) -> Answer:
            refused = is_sync(request) and b"<D:sync-token></D:sync-token>" not in request.body
            return Answer(status) if refused else await forward(request)

        proxy.hook = hook
        gone = await person.add("Standup")
        await mirror.refresh()
        await person.remove(gone)
        assert (await mirror.refresh()).removed == {gone}

    async def test_a_token_that_is_reset_in_silence(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        """DAViCal, Stalwart, Purelymail: 207 with all that there is, and no word of what was deleted."""
        forget = False
        rename = own_tokens(lambda token: b"data:," + token[-64:])

        async def hook(request: Request, forward: Forward) -> Answer:
            radicales = request.body.replace(b"data:,", b"http://radicale.org/ns/sync/")
            request = Request(request.method, request.path, request.headers, radicales)
            answer = rename(await forward(without_token(request) if forget else request))
            rows = re.sub(rb"<response>(?:(?!</response>).)*404 Not Found.*?</response>", b"", answer.body)
            return Answer(answer.status, rows if forget and is_sync(request) else answer.body, answer.headers)

        proxy.hook = hook
        kept, gone, other = [await person.add(title) for title in ("Standup", "Lunch", "Retro")]
        await mirror.refresh()
        await person.edit(other, "Retro, moved")
        await mirror.refresh()
        assert (await mirror.refresh()).requests == 1
        await person.remove(gone)
        added = await person.add("Review")
        forget = True
        again = await mirror.refresh()
        assert again.reading.listed == {kept, other, added}
        assert again.removed == {gone}
        assert set(again.changed) == {added}

    async def test_a_reset_that_nothing_betrays_is_found_within_a_day(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson, clock: Clock
    ) -> None:
        """The calendar was emptied and the token reset: the answer looks like that of a quiet day."""
        rename = own_tokens(lambda token: b"data:," + token[-64:])

        async def hook(request: Request, forward: Forward) -> Answer:
            answer = rename(await forward(without_token(request)))
            rows = re.sub(rb"<response>(?:(?!</response>).)*404 Not Found.*?</response>", b"", answer.body)
            return Answer(answer.status, rows, answer.headers)

        proxy.hook = hook
        gone = await person.add("Standup")
        await mirror.refresh()
        await person.remove(gone)
        assert (await mirror.refresh()).removed == set()
        clock.advance(hours=25)
        assert (await mirror.refresh()).removed == {gone}

    async def test_all_is_listed_anew_each_week_in_one_request(
        self, mirror: Mirror, person: DavPerson, clock: Clock
    ) -> None:
        """Nextcloud prunes its log of changes: deletions can be lost on servers that know their tokens too."""
        added = await person.add("Standup")
        await mirror.refresh()
        clock.advance(days=6)
        assert (await mirror.refresh()).reading.listed is None
        clock.advance(days=1)
        again = await mirror.refresh()
        assert again.reading.listed == {added}
        assert again.requests == 1
        assert again.nothing
        assert (await mirror.refresh()).reading.listed is None

    async def test_a_first_listing_may_name_old_deletions(
        self, client: HttpClient, radicale: RadicaleServer, mirror: Mirror, person: DavPerson
    ) -> None:
        """Radicale answers 404 rows in a first sync-collection."""
        gone, kept = await person.add("Standup"), await person.add("Lunch")
        await mirror.refresh()
        await person.remove(gone)
        await mirror.refresh()
        fresh = Mirror(mirror.calendar)
        first = await fresh.refresh()
        assert first.reading.listed == {kept}
        assert [batch.removed for batch in first.batches] == [()]

    async def test_depth_is_0_and_no_limit_is_asked_for(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson
    ) -> None:
        """RFC 6578 section 3.2. A limit makes Xandikos and Nextcloud lose rows."""
        await person.add("Standup")
        await mirror.refresh()
        await mirror.refresh()
        syncs = [request for request in proxy.requests if is_sync(request)]
        assert len(syncs) == 2
        assert {request.headers["Depth"] for request in syncs} == {"0"}
        assert not any(b"limit" in request.body for request in syncs)

    @pytest.mark.parametrize("empty", [True, False])
    async def test_old_servers_want_depth_1(
        self, proxy: Proxy, mirror: Mirror, person: DavPerson, empty: bool
    ) -> None:
        """Drafts of RFC 6578 took the depth from the header: 400, or nothing but a token."""
        rename = own_tokens(lambda token: token.replace(b"radicale.org", b"old.example"))

        async def hook(request: Request, forward: Forward) -> Answer:
            if is_sync(request) and request.headers["Depth"] == "0":
                body = (
                    b'<multistatus xmlns="DAV:"><sync-token>http://old.example/1</sync-token></multistatus>'
                )
                return Answer(207, body) if empty else Answer(400)
            body = request.body.replace(b"old.example", b"radicale.org")
            return rename(await forward(Request(request.method, request.path, request.headers, body)))

        proxy.hook = hook
        added = await person.add("Standup")
        assert (await mirror.refresh()).reading.listed == {added}
        again = await mirror.refresh()
        assert again.requests == 1
        assert again.nothing
        assert is_sync(proxy.requests[-1])
        assert proxy.requests[-1].headers["Depth"] == "1"


class TestPages:
    @pytest.fixture
    def paged(self, proxy: Proxy) -> Proxy:
        """Two rows to an answer, with a 507 row for the collection (RFC 6578 section 3.6)."""
        rows: list[bytes] = []
        last = b""

        async def hook(request: Request, forward: Forward) -> Answer:
            nonlocal last
            if not is_sync(request):
                return await forward(request)
            found = TOKEN.search(request.body)
            assert found is not None
            page = int(found[1].removeprefix(b"page:")) if found[1].startswith(b"page:") else 0
            if not page:
                answer = await forward(request)
                rows[:] = re.findall(rb"<response>.*?</response>", answer.body)
                last = re.findall(rb"<sync-token>.*?</sync-token>", answer.body)[0]
            shown, rest = rows[2 * page : 2 * page + 2], rows[2 * page + 2 :]
            more = b"<response><href>%s</href><status>HTTP/1.1 507 Insufficient Storage</status></response>"
            token = b"<sync-token>page:%d</sync-token>" % (page + 1) if rest else last
            extra = more % request.path.encode() if rest else b""
            body = b'<multistatus xmlns="DAV:">' + b"".join(shown) + extra + token + b"</multistatus>"
            return Answer(207, body)

        proxy.hook = hook
        return proxy

    async def test_pages_are_read_to_the_end(self, paged: Proxy, mirror: Mirror, person: DavPerson) -> None:
        ids = [await person.add(f"Event {number}") for number in range(5)]
        first = await mirror.refresh()
        assert first.reading.listed == set(ids)
        assert set(first.changed) == set(ids)
        await person.remove(ids[0])
        again = await mirror.refresh()
        assert again.removed == {ids[0]}
        assert again.requests == 1

    async def test_pages_without_end_are_left(self, proxy: Proxy, mirror: Mirror, person: DavPerson) -> None:
        async def hook(request: Request, forward: Forward) -> Answer:
            body = b'<multistatus xmlns="DAV:"><response><href>%s</href><status>HTTP/1.1 507 x</status></response>'
            return Answer(207, body % request.path.encode() + b"<sync-token>same</sync-token></multistatus>")

        proxy.hook = hook
        with pytest.raises(Unavailable):
            await mirror.refresh()
