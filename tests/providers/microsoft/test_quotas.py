"""What counts for Microsoft's limits."""

from __future__ import annotations

import asyncio

from calendarsync.net import HttpClient
from calendarsync.providers.microsoft.batching import Batcher, Request
from calendarsync.providers.microsoft.session import GraphSession
from tests.providers.microsoft.helpers import NOW
from tests.providers.tokens import GrantTokens
from tests.testbed.microsoft import Account, Model


async def test_each_part_of_a_batch_counts(
    client: HttpClient, microsoft_model: Model, account: Account
) -> None:
    tokens = GrantTokens(account)
    session = GraphSession(client, tokens, api_url=microsoft_model.url, now=lambda: NOW)
    batcher = Batcher(session)
    request = Request("GET", "/calendars")
    await batcher.send(request)
    assert (tokens.calls, session.requests) == (1, 1)
    await asyncio.gather(*(batcher.send(request) for _ in range(5)))
    assert (tokens.calls, session.requests) == (6, 2)
