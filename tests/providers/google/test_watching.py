"""Channels through which Google tells of changes."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calendarsync.net import HttpClient
from calendarsync.providers.base import CalendarNotFound, Channel, Refused, Unavailable
from calendarsync.providers.google import unwatch, watch
from tests.providers.google.helpers import NOW, GooglePerson
from tests.providers.tokens import GrantTokens
from tests.testbed.google import Account, Model

ADDRESS = "http://127.0.0.1:9/push/google"  # nobody listens: what the model sends is looked at there


@dataclass
class Watcher:
    """Opens and ends a channel of one grant."""

    client: HttpClient
    model: Model
    tokens: GrantTokens
    channel_id: str

    async def watch(self, calendar_id: str, **more: Any) -> Channel:
        return await watch(
            self.client,
            self.tokens,
            calendar_id,
            api_url=self.model.url,
            address=ADDRESS,
            channel_id=self.channel_id,
            token="secret",
            now=lambda: NOW,
            **more,
        )

    async def unwatch(self, channel: Channel) -> None:
        await unwatch(
            self.client,
            self.tokens,
            self.channel_id,
            channel.remote_id,
            api_url=self.model.url,
            now=lambda: NOW,
        )


@pytest.fixture
def watcher(client: HttpClient, google_model: Model, account: Account) -> Watcher:
    """With a channel id of its own: Google takes none twice."""
    return Watcher(client, google_model, GrantTokens(account), str(uuid.uuid4()))


def _until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.01)


async def test_a_channel_tells_with_its_id_and_token(
    google_model: Model, watcher: Watcher, calendar_id: str, person: GooglePerson
) -> None:
    channel = await watcher.watch(calendar_id)
    await person.add("Standup")
    await asyncio.to_thread(_until, lambda: len(google_model.notices) >= 2)
    (there,) = google_model.channels
    assert (there.id, there.token, there.address) == (watcher.channel_id, "secret", ADDRESS)
    assert channel.remote_id == there.resource_id
    assert channel.expires_at > datetime.now(UTC)


async def test_when_it_ends_is_what_google_says(
    google_model: Model, watcher: Watcher, calendar_id: str
) -> None:
    wanted = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    assert (await watcher.watch(calendar_id, expires_at=wanted)).expires_at == wanted


async def test_a_channel_is_ended_and_may_be_ended_again(
    google_model: Model, watcher: Watcher, calendar_id: str
) -> None:
    channel = await watcher.watch(calendar_id)
    await watcher.unwatch(channel)
    assert google_model.channels == []
    await watcher.unwatch(channel)


async def test_a_calendar_that_is_gone(google_model: Model, watcher: Watcher, calendar_id: str) -> None:
    google_model.remove_calendar(calendar_id)
    with pytest.raises(CalendarNotFound):
        await watcher.watch(calendar_id)


@pytest.mark.parametrize(
    ("status", "error"), [(400, Refused), (503, Unavailable)], ids=["address refused", "outage"]
)
async def test_other_errors(
    google_model: Model, watcher: Watcher, calendar_id: str, status: int, error: type[Exception]
) -> None:
    google_model.fail(status, method="events.watch")
    with pytest.raises(error):
        await watcher.watch(calendar_id)
