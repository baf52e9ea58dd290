"""The contract of all providers, against Google Calendar itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from calendarsync.net import HttpClient
from calendarsync.providers.google import GoogleCalendar
from tests.live.conftest import Rest, Service, service_of
from tests.providers.contract import CalendarContract

pytestmark = pytest.mark.live


@dataclass(frozen=True)
class GooglePerson:
    ask: Rest
    events: str

    async def add(self, title: str) -> str:
        times = {
            name: {"dateTime": f"2026-03-02T{hour}:00:00", "timeZone": "Europe/Berlin"}
            for name, hour in (("start", "09"), ("end", "10"))
        }
        return str((await self.ask("POST", self.events, {"summary": title, **times}))["id"])

    async def fill(self, count: int) -> None:
        for number in range(count):
            await self.add(f"Event {number}")

    async def edit(self, resource_id: str, title: str) -> None:
        await self.ask("PATCH", f"{self.events}/{resource_id}", {"summary": title})

    async def remove(self, resource_id: str) -> None:
        await self.ask("DELETE", f"{self.events}/{resource_id}")


class TestGoogle(CalendarContract):
    holds_floating = False

    @pytest.fixture
    def service(self) -> Service:
        return service_of("google", "https://www.googleapis.com")

    @pytest.fixture
    async def ask(self, service: Service) -> AsyncIterator[Rest]:
        rest = Rest(service, "/calendar/v3")
        yield rest
        await rest.close()

    @pytest.fixture
    async def calendar_id(self, ask: Rest) -> AsyncIterator[str]:
        body = {"summary": "CalendarSync test", "timeZone": "Europe/Berlin"}
        made = str((await ask("POST", "/calendars", body))["id"])
        yield made
        await ask("DELETE", f"/calendars/{quote(made, safe='')}")

    @pytest.fixture
    def calendar(self, http: HttpClient, service: Service, calendar_id: str) -> GoogleCalendar:
        return GoogleCalendar(http, service, calendar_id, api_url=service.url, now=lambda: datetime.now(UTC))

    @pytest.fixture
    def person(self, ask: Rest, calendar_id: str) -> GooglePerson:
        return GooglePerson(ask, f"/calendars/{quote(calendar_id, safe='')}/events")
