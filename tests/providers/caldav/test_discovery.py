"""From any address to the calendars behind it."""

from __future__ import annotations

import asyncio
import re
import threading
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from calendarsync.net import BasicCredentials, HttpClient
from calendarsync.providers.base import (
    CalendarNotFound,
    NotACalendar,
    NotAuthorized,
    RateLimited,
    Unavailable,
    Unreachable,
)
from calendarsync.providers.caldav import CalDavCalendar, canonical_url, discover, discovery, xml
from tests.providers.caldav.helpers import credentials_of
from tests.testbed.dav import DavServer
from tests.testbed.fixtures import SERVERS, server_named
from tests.testbed.proxy import Answer, Forward, Proxy, Request, proxy_of
from tests.testbed.radicale import RadicaleServer

BERLIN = (
    '<C:calendar-timezone xmlns:C="urn:ietf:params:xml:ns:caldav">BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\n'
    "TZID:/freeassociation.sourceforge.net/Europe/Berlin\nEND:VTIMEZONE\nEND:VCALENDAR</C:calendar-timezone>"
)


TASKS = (
    '<C:supported-calendar-component-set xmlns:C="urn:ietf:params:xml:ns:caldav">'
    '<C:comp name="VTODO"/></C:supported-calendar-component-set>'
)


@pytest.mark.parametrize("server_name", SERVERS)
@pytest.mark.parametrize("start", ["root", "well-known", "home", "principal"])
async def test_every_address_leads_to_the_calendars(
    start: str, server_name: str, client: HttpClient, request: pytest.FixtureRequest
) -> None:
    server = server_named(request, server_name)
    name = f"Team {uuid.uuid4().hex[:6]} & Co"
    url = server.make_calendar(properties=f"<displayname>{name.replace('&', '&amp;')}</displayname>")
    address = {
        "root": server.url.rstrip("/"),
        "well-known": f"{server.url}.well-known/caldav",
        "home": server.home,
        "principal": server.url + ("dav/principals/user/alice/" if server_name == "cyrus" else "alice/"),
    }[start]
    calendars = await discover(client, address, credentials_of(server))
    found = next(calendar for calendar in calendars if calendar.id == canonical_url(url))
    assert found.name == name
    assert not found.read_only
    assert found.timezone is None


@pytest.mark.parametrize("server_name", SERVERS)
async def test_a_calendars_own_address_leads_to_it_alone(
    server_name: str, client: HttpClient, request: pytest.FixtureRequest
) -> None:
    server = server_named(request, server_name)
    url = server.make_calendar()
    server.make_calendar()
    found = await discover(client, url.rstrip("/"), credentials_of(server))
    assert [calendar.id for calendar in found] == [canonical_url(url)]


async def test_zone_and_components_are_minded(client: HttpClient, radicale: RadicaleServer) -> None:
    bob = radicale.user("bob")
    with_zone = bob.make_calendar(properties=BERLIN)
    tasks = bob.make_calendar(properties=TASKS)
    calendars = {calendar.id: calendar for calendar in await discover(client, bob.url, credentials_of(bob))}
    assert calendars[canonical_url(with_zone)].timezone == "Europe/Berlin"
    assert canonical_url(tasks) not in calendars


async def test_radicales_user_address_is_a_path_and_no_address(
    client: HttpClient, radicale: RadicaleServer
) -> None:
    url = radicale.make_calendar()
    [calendar] = await discover(client, url, credentials_of(radicale))
    assert calendar.owner_addresses == ()


async def test_cyrus_knows_the_addresses_under_which_its_people_are_invited(
    client: HttpClient, cyrus: DavServer
) -> None:
    found = await discover(client, cyrus.url, credentials_of(cyrus))
    assert {calendar.owner_addresses for calendar in found} == {("alice@example.com",)}
    assert not [calendar for calendar in found if "box" in calendar.id], (
        "the boxes of messages are no calendars"
    )


@pytest.mark.parametrize("server_name", ["radicale", "cyrus"])
async def test_a_wrong_password_is_told(
    server_name: str, client: HttpClient, request: pytest.FixtureRequest
) -> None:
    server = server_named(request, server_name)
    with pytest.raises(NotAuthorized) as raised:
        await discover(client, server.url, BasicCredentials("alice", "guess-7261"))
    assert "guess" not in raised.value.message


@pytest.mark.parametrize(
    "address", ["", "https://", "https:///path", "http://?", "ftp://a.example/", "ht tp://x y"]
)
async def test_an_address_without_a_host_is_told(client: HttpClient, address: str) -> None:
    with pytest.raises(Unreachable):
        await discover(client, address, BasicCredentials("alice", "x"))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(200, b"<html><body>Welcome</body></html>"), NotACalendar),
        (Answer(207, b"<html><body>Welcome</body></html>"), NotACalendar),
        (Answer(207, b"<multistatus"), NotACalendar),
        (Answer(405), NotACalendar),
        (Answer(404), CalendarNotFound),
        (Answer(207, b'<multistatus xmlns="DAV:"/>'), CalendarNotFound),
        (Answer(401), NotAuthorized),
        (Answer(429), RateLimited),
        (Answer(503), Unavailable),
        (Answer(301).changed(Location="/loop"), Unreachable),
    ],
)
async def test_other_servers_are_told_apart(
    client: HttpClient, proxy: Proxy, answer: Answer, error: type[Exception]
) -> None:
    async def hook(request: Request, forward: Forward) -> Answer:
        return answer

    proxy.hook = hook
    with pytest.raises(error):
        await discover(client, proxy.url("http://x/"), BasicCredentials("alice", "x"))


def multistatus(*rows: str) -> Answer:
    body = (
        '<multistatus xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">'
        + "".join(rows)
        + "</multistatus>"
    )
    return Answer(207, body.encode())


def row(href: str, props: str) -> str:
    return (
        f"<response><href>{href}</href><propstat><prop>{props}</prop>"
        "<status>HTTP/1.1 200 OK</status></propstat></response>"
    )


def calendar_row(href: str, more: str = "") -> str:
    return row(href, f"<resourcetype><collection/><C:calendar/></resourcetype>{more}")


@pytest.fixture
async def icloud(client: HttpClient) -> AsyncIterator[Proxy]:
    """Principal, two homes (one of them somebody else's), several calendars, as iCloud and Fastmail have them."""
    async with proxy_of("http://127.0.0.1:1/") as proxy:
        privileges = "<current-user-privilege-set>{}</current-user-privilege-set>"
        read = privileges.format("<privilege><read/></privilege>")
        write = privileges.format("<privilege><read/></privilege><privilege><write/></privilege>")
        answers = {
            "/.well-known/caldav": Answer(301).changed(Location="/dav/"),
            "/dav/": multistatus(
                row(
                    "/dav/",
                    "<current-user-principal><href>/p/me%40a.example/</href></current-user-principal>",
                )
            ),
            "/p/me@a.example/": multistatus(
                row(
                    "/p/me%40a.example/",
                    f"<C:calendar-home-set><href>{proxy.url('http://x/h1/')}</href><href>/h2/</href>"
                    "<href>/denied/</href><href>http://elsewhere.example/h/</href></C:calendar-home-set>"
                    "<C:calendar-user-address-set><href>MAILTO:Me@A.example</href>"
                    "<href>mailto:me%2Bx@a.example</href>"
                    "<href>urn:uuid:1</href><href>/p/me/</href></C:calendar-user-address-set>",
                )
            ),
            "/h1/": multistatus(
                row("/h1/", "<resourcetype><collection/></resourcetype>"),
                calendar_row("/h1/me%40a/", f"<displayname> Mine </displayname>{write}"),
                calendar_row("/h1/shared/", read),
                calendar_row("/h1/zone/", "<C:calendar-timezone-id>Asia/Tokyo</C:calendar-timezone-id>"),
                calendar_row("/h1/odd/", "<C:calendar-timezone>TZID:../../etc/passwd</C:calendar-timezone>"),
                row("/h1/inbox/", "<resourcetype><collection/><C:schedule-inbox/></resourcetype>"),
                calendar_row("/h1/tasks/", TASKS),
            ),
            "/h2/": multistatus(calendar_row("/h2/team/"), calendar_row("http://[bad/")),
            "/denied/": Answer(403),
        }

        async def hook(request: Request, forward: Forward) -> Answer:
            return answers.get(request.path.replace("%40", "@"), Answer(404))

        proxy.hook = hook
        yield proxy


async def test_several_homes_on_several_hosts(client: HttpClient, icloud: Proxy) -> None:
    calendars = await discover(client, icloud.url("http://x/"), BasicCredentials("me", "x"))
    base = icloud.url("http://x/")
    assert {calendar.id.removeprefix(base): calendar.read_only for calendar in calendars} == {
        "h1/me@a/": False,
        "h1/shared/": True,
        "h1/zone/": False,
        "h1/odd/": False,
        "h2/team/": False,
    }
    assert {calendar.name for calendar in calendars} == {"Mine", "shared", "zone", "odd", "team"}
    assert {calendar.timezone for calendar in calendars} == {None, "Asia/Tokyo"}
    assert {calendar.owner_addresses for calendar in calendars} == {("me+x@a.example", "me@a.example")}


async def test_credentials_stay_within_their_domain(client: HttpClient, icloud: Proxy) -> None:
    """A home set on a foreign host is left out: the password is not for it."""
    await discover(client, icloud.url("http://x/"), BasicCredentials("me", "x"))
    assert not any(re.search("elsewhere", request.path) for request in icloud.requests)


async def test_requests_say_what_their_body_is(client: HttpClient, icloud: Proxy) -> None:
    """Cyrus refuses a PROPFIND without a Content-Type."""
    await discover(client, icloud.url("http://x/"), BasicCredentials("me", "x"))
    assert all(request.headers["Content-Type"].startswith("application/xml") for request in icloud.requests)


async def test_a_calendar_that_is_listed_on_another_host_is_left_out(
    client: HttpClient, proxy: Proxy
) -> None:
    """Its address would be opened with the password that was given for this one."""
    elsewhere = proxy.url("http://x/c/").replace("127.0.0.1", "localhost")
    listing = multistatus(
        calendar_row("/c/mine/"), calendar_row(elsewhere), calendar_row("http://169.254.1.1/c/")
    )

    async def hook(request: Request, forward: Forward) -> Answer:
        return listing

    proxy.hook = hook
    found = await discover(client, proxy.url("http://x/c/"), BasicCredentials("alice", "x"))
    assert [calendar.id for calendar in found] == [proxy.url("http://x/c/mine/")]


@pytest.mark.parametrize("depth", ["0", "1"])
async def test_a_well_formed_answer_of_fifty_megabytes(client: HttpClient, proxy: Proxy, depth: str) -> None:
    rows = row("/x/", "<displayname>x</displayname>") * 4
    head = multistatus(
        row("/", f"<C:calendar-home-set><href>{proxy.url('http://x/h/')}</href></C:calendar-home-set>")
    )
    huge = Answer(
        207, multistatus(rows).body.replace(rows.encode(), rows.encode() * (50_000_000 // len(rows)))
    )

    async def hook(request: Request, forward: Forward) -> Answer:
        return huge if request.headers["Depth"] == depth else head

    proxy.hook = hook
    with pytest.raises(Unreachable):
        await discover(client, proxy.url("http://x/"), BasicCredentials("alice", "x"))
    assert len(proxy.requests) <= 3, "it is not asked for again in other places"


async def test_a_server_that_never_ends_is_given_up(
    client: HttpClient, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = asyncio.Event()

    async def hook(request: Request, forward: Forward) -> Answer:
        await given_up.wait()
        return Answer(404)

    proxy.hook = hook
    monkeypatch.setattr(discovery, "DEADLINE_SECONDS", 0.2)
    with pytest.raises(Unavailable):
        await discover(client, proxy.url("http://x/"), BasicCredentials("alice", "x"))
    given_up.set()


async def test_a_principal_with_thousands_of_homes(client: HttpClient, proxy: Proxy) -> None:
    homes = "".join(f"<href>/h{number}/</href>" for number in range(5_000))
    head = multistatus(row("/", f"<C:calendar-home-set>{homes}</C:calendar-home-set>"))

    async def hook(request: Request, forward: Forward) -> Answer:
        return multistatus() if request.headers["Depth"] == "1" else head

    proxy.hook = hook
    with pytest.raises(CalendarNotFound):
        await discover(client, proxy.url("http://x/"), BasicCredentials("alice", "x"))
    assert len(proxy.requests) < 50


async def test_a_long_listing_is_read_beside_other_work(client: HttpClient, proxy: Proxy) -> None:
    rows = "".join(row(f"/c/{number}.ics", '<getetag>"1"</getetag>') for number in range(20_000))

    async def hook(request: Request, forward: Forward) -> Answer:
        return multistatus(rows, "<sync-token>x:1</sync-token>")

    proxy.hook = hook
    calendar = CalDavCalendar(
        client, proxy.url("http://x/c/"), BasicCredentials("alice", "x"), now=lambda: datetime.now(UTC)
    )
    main = threading.get_ident()
    threads = set()
    read = xml._row

    def watched(element: object) -> object:
        threads.add(threading.get_ident())
        return read(element)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(xml, "_row", watched)
        await calendar._lister.list(None, {})
    assert threads
    assert main not in threads
