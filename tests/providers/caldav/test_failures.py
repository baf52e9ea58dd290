"""What goes wrong with the account, the server and the way to it, told apart and in our own words."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import pytest

from calendarsync.net import BasicCredentials, HttpClient
from calendarsync.providers.base import (
    Batch,
    CalendarNotFound,
    Forbidden,
    NotACalendar,
    NotAuthorized,
    ProviderError,
    RateLimited,
    Unavailable,
    Unreachable,
)
from calendarsync.providers.caldav import CalDavCalendar
from tests.providers.caldav.helpers import Clock, DavPerson, opened
from tests.providers.contract import Mirror, copy_of
from tests.testbed.proxy import Answer, Forward, Proxy, Request
from tests.testbed.radicale import RadicaleServer

BOMB = b'<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><multistatus xmlns="DAV:">&b;</multistatus>'


def always(proxy: Proxy, answer: Answer) -> None:
    async def hook(request: Request, forward: Forward) -> Answer:
        return answer

    proxy.hook = hook


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(200, b"<html><body>SECRET</body></html>"), NotACalendar),
        (Answer(207, b"<html><body>SECRET</body></html>"), NotACalendar),
        (Answer(207, b"SECRET"), NotACalendar),
        (Answer(207, b'<multistatus xmlns="DAV:"><response>'), NotACalendar),
        (Answer(207, BOMB), NotACalendar),
        (Answer(204), NotACalendar),
        (Answer(400), NotACalendar),
        (Answer(401), NotAuthorized),  # Yahoo: without a WWW-Authenticate
        (Answer(401).changed(WWW_Authenticate='Basic realm="x"'), NotAuthorized),
        (Answer(403), Forbidden),
        (Answer(403).changed(Retry_After="60"), RateLimited),  # Google's way
        (Answer(404), CalendarNotFound),
        (Answer(410), CalendarNotFound),
        (Answer(429), RateLimited),
        (Answer(500), Unavailable),
        (Answer(502), Unavailable),
        (Answer(503), Unavailable),
        (Answer(503).changed(Retry_After="60"), RateLimited),
        (Answer(504), Unavailable),
        (Answer(302).changed(Location="/somewhere"), Unreachable),  # a circle
        (Answer(302), Unreachable),
    ],
)
async def test_answers_to_a_reading(
    proxy: Proxy, mirror: Mirror, answer: Answer, error: type[ProviderError]
) -> None:
    always(proxy, answer)
    with pytest.raises(error) as raised:
        await mirror.refresh()
    assert "SECRET" not in raised.value.message
    assert "alice-password" not in raised.value.message
    assert "/alice/" not in raised.value.message
    assert 0 < mirror.calendar.requests <= 4


@pytest.mark.parametrize(("header", "seconds"), [("120", 120), ("", None), ("soon", None), ("+30s", 30)])
async def test_how_long_to_wait(
    proxy: Proxy, mirror: Mirror, clock: Clock, header: str, seconds: float | None
) -> None:
    if header == "+30s":
        header = format_datetime(clock() + timedelta(seconds=30), usegmt=True)
    always(proxy, Answer(429).changed(Retry_After=header))
    with pytest.raises(RateLimited) as raised:
        await mirror.refresh()
    assert raised.value.retry_after == seconds


async def test_a_wrong_password(client: HttpClient, radicale: RadicaleServer, url: str) -> None:
    calendar = CalDavCalendar(client, url, BasicCredentials("alice", "guess-7261"), now=Clock())
    with pytest.raises(NotAuthorized) as raised:
        await Mirror(calendar).refresh()
    assert "guess" not in raised.value.message
    with pytest.raises(NotAuthorized):
        await calendar.create(copy_of())


async def test_somebody_elses_calendar(client: HttpClient, radicale: RadicaleServer) -> None:
    theirs = radicale.user("bob").make_calendar()
    with pytest.raises(Forbidden):
        await Mirror(opened(client, radicale, theirs)).refresh()


async def test_a_calendar_that_is_not_there(client: HttpClient, radicale: RadicaleServer) -> None:
    calendar = opened(client, radicale, f"{radicale.home}nothing/")
    with pytest.raises(CalendarNotFound):
        await Mirror(calendar).refresh()


@pytest.mark.parametrize("url", ["", "calendar", "https://", "ftp://a.example/", "http://[::1"])
async def test_an_address_that_is_none(client: HttpClient, radicale: RadicaleServer, url: str) -> None:
    with pytest.raises(Unreachable):
        opened(client, radicale, url)


async def test_an_address_that_may_not_be_reached(radicale: RadicaleServer, url: str) -> None:
    async with HttpClient() as client:
        with pytest.raises(Unreachable):
            await Mirror(opened(client, radicale, url)).refresh()


async def test_nobody_listens(client: HttpClient, radicale: RadicaleServer) -> None:
    with pytest.raises(Unavailable):
        await Mirror(opened(client, radicale, "http://127.0.0.1:1/alice/")).refresh()


async def test_an_answer_without_end(proxy: Proxy, mirror: Mirror) -> None:
    always(proxy, Answer(207, b" " * (65 * 1024 * 1024)))
    with pytest.raises(Unreachable):
        await mirror.refresh()


async def test_the_first_failure_of_several_requests_is_told_plainly(
    proxy: Proxy, mirror: Mirror, person: DavPerson
) -> None:
    """Requests run side by side; their caller sees one error and no group of them."""
    await person.fill(3)

    async def hook(request: Request, forward: Forward) -> Answer:
        if request.method == "GET" or b"multiget" in request.body:
            return Answer(429).changed(Retry_After="5") if request.method == "GET" else Answer(501)
        return await forward(request)

    proxy.hook = hook
    with pytest.raises(RateLimited):
        await mirror.refresh()


async def test_what_the_reader_of_batches_raises_comes_out(mirror: Mirror, person: DavPerson) -> None:
    await person.add("Standup")

    async def on_batch(batch: Batch) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await mirror.calendar.read(None, mirror.known, on_batch)


async def test_at_most_so_many_requests_at_once(
    proxy: Proxy, client: HttpClient, radicale: RadicaleServer, url: str, person: DavPerson
) -> None:
    under_way = most = 0

    async def hook(request: Request, forward: Forward) -> Answer:
        nonlocal under_way, most
        if b"multiget" in request.body:
            return Answer(501)
        under_way += 1
        most = max(most, under_way)
        answer = await forward(request)
        under_way -= 1
        return answer

    proxy.hook = hook
    await person.fill(12)
    await Mirror(opened(client, radicale, proxy.url(url), concurrency=2)).refresh()
    assert most == 2
