"""Fixtures of the CalDAV tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from calendarsync.net import HttpClient
from tests.providers.caldav.helpers import Clock, DavPerson, opened
from tests.providers.contract import Mirror
from tests.testbed.proxy import Proxy, proxy_of
from tests.testbed.radicale import RadicaleServer


@pytest.fixture
async def proxy(radicale: RadicaleServer) -> AsyncIterator[Proxy]:
    """A Radicale whose answers a test may change."""
    async with proxy_of(radicale.url) as proxy:
        yield proxy


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(radicale: RadicaleServer) -> str:
    return radicale.make_calendar()


@pytest.fixture
def person(radicale: RadicaleServer, url: str) -> DavPerson:
    return DavPerson(radicale, url)


@pytest.fixture
def mirror(client: HttpClient, radicale: RadicaleServer, proxy: Proxy, url: str, clock: Clock) -> Mirror:
    """The calendar as the misbehaving server shows it."""
    return Mirror(opened(client, radicale, proxy.url(url), now=clock))
