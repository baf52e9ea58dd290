"""Subscriptions: made, renewed, ended, and that they tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from calendarsync.net import HttpClient
from calendarsync.providers.base import CalendarNotFound, Channel, Refused
from calendarsync.providers.microsoft import renew, unwatch, watch
from calendarsync.providers.microsoft.watching import LONGEST
from tests.providers.microsoft.helpers import GraphPerson
from tests.providers.tokens import GrantTokens
from tests.testbed.microsoft import Account, Fault, Model


def now() -> datetime:
    """The model's subscriptions end by the real clock."""
    return datetime.now(UTC)


@dataclass
class Receiver:
    """Where notices go."""

    url: str = ""
    echoes: bool = True
    notices: list[dict[str, Any]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        token = request.query.get("validationToken")
        if token is not None:
            return web.Response(text=token if self.echoes else "no")
        self.notices += (await request.json())["value"]
        self.arrived.set()
        return web.Response(status=202)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/push/microsoft", receiver.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/push/microsoft"
    yield receiver
    await runner.cleanup()


@dataclass
class Watcher:
    client: HttpClient
    model: Model
    account: Account
    calendar_id: str
    receiver: Receiver

    async def watch(self, token: str = "secret", expires_at: datetime | None = None) -> Channel:
        return await watch(
            self.client,
            GrantTokens(self.account),
            self.calendar_id,
            api_url=self.model.url,
            address=self.receiver.url,
            token=token,
            now=now,
            expires_at=expires_at,
        )

    async def renew(self, channel: Channel, expires_at: datetime | None = None) -> Channel | None:
        tokens, url = GrantTokens(self.account), self.model.url
        return await renew(
            self.client, tokens, channel.remote_id, api_url=url, now=now, expires_at=expires_at
        )

    async def unwatch(self, channel: Channel) -> None:
        await unwatch(
            self.client, GrantTokens(self.account), channel.remote_id, api_url=self.model.url, now=now
        )


@pytest.fixture
def watcher(
    client: HttpClient, microsoft_model: Model, account: Account, calendar_id: str, receiver: Receiver
) -> Watcher:
    return Watcher(client, microsoft_model, account, calendar_id, receiver)


async def test_a_change_is_told_with_the_token(watcher: Watcher, person: GraphPerson) -> None:
    channel = await watcher.watch()
    await person.add("Standup")
    async with asyncio.timeout(60):
        await watcher.receiver.arrived.wait()
    (notice,) = watcher.receiver.notices
    assert (notice["subscriptionId"], notice["clientState"]) == (channel.remote_id, "secret")


async def test_lifecycle_notifications_go_to_the_same_address(watcher: Watcher) -> None:
    channel = await watcher.watch()
    watcher.model.lifecycle(channel.remote_id, "reauthorizationRequired")
    async with asyncio.timeout(60):
        await watcher.receiver.arrived.wait()
    assert watcher.receiver.notices[0]["lifecycleEvent"] == "reauthorizationRequired"


async def test_it_lives_as_long_as_was_asked_and_as_graph_allows(watcher: Watcher) -> None:
    soon = now() + timedelta(hours=1)
    channel = await watcher.watch(expires_at=soon)
    assert abs(channel.expires_at - soon) < timedelta(seconds=2)
    renewed = await watcher.renew(channel)
    assert renewed is not None
    assert renewed.remote_id == channel.remote_id
    assert abs(renewed.expires_at - (now() + LONGEST)) < timedelta(minutes=1)
    again = await watcher.renew(channel, expires_at=now() + timedelta(days=300))
    assert again is not None
    assert again.expires_at <= now() + LONGEST


async def test_one_that_is_gone_cannot_be_renewed_and_may_be_ended(watcher: Watcher) -> None:
    channel = await watcher.watch()
    await watcher.unwatch(channel)
    assert watcher.model.subscriptions == {}
    await watcher.unwatch(channel)
    assert await watcher.renew(channel) is None


async def test_one_that_nobody_knows_any_more_is_replaced(watcher: Watcher, person: GraphPerson) -> None:
    """A second subscription to the same changes is refused (subscription-post-subscriptions)."""
    lost = await watcher.watch(token="lost")
    channel = await watcher.watch(token="new")
    assert set(watcher.model.subscriptions) == {channel.remote_id}
    assert channel.remote_id != lost.remote_id
    await person.add("Standup")
    async with asyncio.timeout(60):
        await watcher.receiver.arrived.wait()
    assert {notice["clientState"] for notice in watcher.receiver.notices} == {"new"}


async def test_an_address_that_does_not_answer_for_itself_is_refused(watcher: Watcher) -> None:
    watcher.receiver.echoes = False
    with pytest.raises(Refused, match="address"):
        await watcher.watch()


async def test_a_calendar_that_is_gone(watcher: Watcher) -> None:
    watcher.model.remove_calendar(watcher.calendar_id)
    with pytest.raises(CalendarNotFound):
        await watcher.watch()


async def test_a_renewal_that_is_refused(watcher: Watcher) -> None:
    channel = await watcher.watch()
    watcher.model.faults.order(Fault(400, path="/subscriptions"))
    with pytest.raises(Refused):
        await watcher.renew(channel)
