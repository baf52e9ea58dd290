"""How the providers that can push are asked to: one shape for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from calendarsync.net import HttpClient
from calendarsync.providers.base import Channel
from calendarsync.providers.google import watching as google
from calendarsync.providers.microsoft import watching as microsoft
from calendarsync.providers.tokens import Access


class Service(Protocol):
    """A provider's channels to one calendar. All of it raises ProviderError."""

    async def watch(self, channel_id: str, token: str) -> Channel:
        """Have notices sent that carry both."""

    async def renew(self, channel: Channel) -> Channel | None:
        """The same channel for longer; None where the provider knows no way, or no such channel any more."""

    async def unwatch(self, channel_id: str, channel: Channel) -> None:
        """Have no more sent; one that is gone counts as done."""


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


SERVICES: Mapping[str, Callable[..., Service]] = {"google": GoogleService, "microsoft": MicrosoftService}
