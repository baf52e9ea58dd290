"""Fixtures of the tests of all providers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from calendarsync.net import HttpClient


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient(allowed_private_networks=[ip_network("127.0.0.0/8")]) as client:
        yield client
