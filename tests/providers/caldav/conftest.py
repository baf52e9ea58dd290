"""Fixtures of the CalDAV tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from calendarsync.net import HttpClient
from tests.testbed.proxy import Proxy, proxy_of
from tests.testbed.radicale import RadicaleServer


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient(allowed_private_networks=[ip_network("127.0.0.0/8")]) as client:
        yield client


@pytest.fixture
async def proxy(radicale: RadicaleServer) -> AsyncIterator[Proxy]:
    """A Radicale whose answers a test may change."""
    async with proxy_of(radicale.url) as proxy:
        yield proxy
