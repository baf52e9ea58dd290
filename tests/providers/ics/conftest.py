"""Fixtures of the feeds' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.testbed.feed import FeedServer, feed_server


@pytest.fixture
async def feed() -> AsyncIterator[FeedServer]:
    async with feed_server() as server:
        yield server
