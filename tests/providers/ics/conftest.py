"""Fixtures of the feeds' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from calendarsync.net import HttpClient
from tests.testbed.feed import FeedServer, feed_server


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient(allowed_private_networks=[ip_network("127.0.0.0/8")]) as client:
        yield client


@pytest.fixture
async def feed() -> AsyncIterator[FeedServer]:
    async with feed_server() as server:
        yield server
