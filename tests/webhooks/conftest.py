"""A post office of a test's own, on either database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.webhooks.post import Post, post_at


@pytest.fixture
async def post(database_url: str) -> AsyncIterator[Post]:
    async with post_at(database_url) as made:
        yield made
