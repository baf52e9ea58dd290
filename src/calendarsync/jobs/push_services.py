"""How the providers that can push are asked to: one shape for both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from calendarsync.net import HttpClient
from calendarsync.providers.base import Channel
from calendarsync.providers.google import watching as google
from calendarsync.providers.microsoft import watching as microsoft
from calendarsync.providers.tokens import Access


@dataclass(frozen=True, slots=True)
class GoogleService:
    """A channel cannot be renewed: another one takes its place."""

    http: HttpClient
    access: Access
    calendar_id: str
    address: str
    now: Callable[[], datetime]

    async def watch(self, channel_id: str, token: str) -> Channel:
        return await google.watch(
            self.http,
            self.access.tokens,
            self.calendar_id,
            api_url=self.access.api_url,
            address=self.address,
            channel_id=channel_id,
            token=token,
            now=self.now,
        )

    async def renew(self, _channel: Channel) -> Channel | None:
        return None

    async def unwatch(self, channel_id: str, channel: Channel) -> None:
        access = self.access
        await google.unwatch(
            self.http, access.tokens, channel_id, channel.remote_id, api_url=access.api_url, now=self.now
        )


@dataclass(frozen=True, slots=True)
class MicrosoftService:
    """A subscription has no id of ours, and lives on when it is renewed."""

    http: HttpClient
    access: Access
    calendar_id: str
    address: str
    now: Callable[[], datetime]

    async def watch(self, _channel_id: str, token: str) -> Channel:
        return await microsoft.watch(
            self.http,
            self.access.tokens,
            self.calendar_id,
            api_url=self.access.api_url,
            address=self.address,
            token=token,
            now=self.now,
        )

    async def renew(self, channel: Channel) -> Channel | None:
        access = self.access
        return await microsoft.renew(
            self.http, access.tokens, channel.remote_id, api_url=access.api_url, now=self.now
        )

    async def unwatch(self, _channel_id: str, channel: Channel) -> None:
        access = self.access
        await microsoft.unwatch(
            self.http, access.tokens, channel.remote_id, api_url=access.api_url, now=self.now
        )


SERVICES = {"google": GoogleService, "microsoft": MicrosoftService}
