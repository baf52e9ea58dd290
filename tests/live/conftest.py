"""The real services, or what stands in for them, with a token from the environment.

    CALENDARSYNC_LIVE_GOOGLE_TOKEN      an access token with the scope https://www.googleapis.com/auth/calendar
    CALENDARSYNC_LIVE_MICROSOFT_TOKEN   an access token of Graph with Calendars.ReadWrite
    CALENDARSYNC_LIVE_GOOGLE_URL, CALENDARSYNC_LIVE_MICROSOFT_URL    other services than the real ones

Every test makes a calendar of its own and removes it. docs/guide/live-tests.md says how to get a token.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from calendarsync.net import HttpClient
from tests.testbed.installation import LOOPBACK

_VARIABLE = "CALENDARSYNC_LIVE_"


@dataclass(frozen=True)
class Service:
    """A service's base URL and a token for it; the tokens of a grant, too, though of one that is not renewed."""

    url: str
    token: str
    grant: str = "live"
    user: str | None = None

    async def access_token(self, *, rejected: str | None = None) -> str:
        if rejected is not None:
            pytest.fail("the service does not accept the token; get a new one")
        return self.token

    def sent(self, calls: int) -> None:
        pass


def service_of(provider: str, default_url: str) -> Service:
    name = f"{_VARIABLE}{provider.upper()}"
    token = os.environ.get(f"{name}_TOKEN")
    if not token:
        pytest.skip(f"{name}_TOKEN is not set")
    return Service(os.environ.get(f"{name}_URL", default_url), token)


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient(allowed_private_networks=[LOOPBACK]) as client:
        yield client


class Rest:
    """What a person's program asks, past the program under test."""

    def __init__(self, service: Service, base: str, headers: dict[str, str] | None = None) -> None:
        self._client = httpx.AsyncClient(
            base_url=service.url + base,
            headers={"Authorization": f"Bearer {service.token}", **(headers or {})},
            timeout=60,
            trust_env=False,
        )

    async def __call__(self, method: str, path: str, body: object = None) -> dict[str, object]:
        answer = await self._client.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code}"
        found: dict[str, object] = answer.json() if answer.content else {}
        return found

    async def close(self) -> None:
        await self._client.aclose()
