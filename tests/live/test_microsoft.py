"""The contract of all providers, against Microsoft Graph itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from calendarsync.domain.rules import Window
from calendarsync.net import HttpClient
from calendarsync.providers.microsoft import MicrosoftCalendar
from tests.live.conftest import Rest, Service, service_of
from tests.providers.contract import CalendarContract

pytestmark = pytest.mark.live
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 12, 31, tzinfo=UTC))


@dataclass(frozen=True)
class OutlookPerson:
    ask: Rest
    calendar: str

    async def add(self, title: str) -> str:
        times = {
            name: {"dateTime": f"2026-03-02T{hour}:00:00", "timeZone": "W. Europe Standard Time"}
            for name, hour in (("start", "09"), ("end", "10"))
        }
        return str((await self.ask("POST", f"{self.calendar}/events", {"subject": title, **times}))["id"])

    async def fill(self, count: int) -> None:
        for number in range(count):
            await self.add(f"Event {number}")

    async def edit(self, resource_id: str, title: str) -> None:
        await self.ask("PATCH", f"/me/events/{resource_id}", {"subject": title})

    async def remove(self, resource_id: str) -> None:
        await self.ask("DELETE", f"/me/events/{resource_id}")


class TestMicrosoft(CalendarContract):
    holds_floating = False
    holds_extra_dates = False

    @pytest.fixture
    def service(self) -> Service:
        return service_of("microsoft", "https://graph.microsoft.com")

    @pytest.fixture
    async def ask(self, service: Service) -> AsyncIterator[Rest]:
        rest = Rest(service, "/v1.0", {"Prefer": 'IdType="ImmutableId"'})
        yield rest
        await rest.close()

    @pytest.fixture
    async def calendar_id(self, ask: Rest) -> AsyncIterator[str]:
        # Names are unique in a mailbox.
        name = f"CalendarSync test {datetime.now(UTC).isoformat()}"
        made = str((await ask("POST", "/me/calendars", {"name": name}))["id"])
        yield made
        await ask("DELETE", f"/me/calendars/{made}")

    @pytest.fixture
    def calendar(self, http: HttpClient, service: Service, calendar_id: str) -> MicrosoftCalendar:
        return MicrosoftCalendar(
            http,
            service,
            calendar_id,
            api_url=service.url,
            now=lambda: datetime.now(UTC),
            window=WINDOW,
        )

    @pytest.fixture
    def person(self, ask: Rest, calendar_id: str) -> OutlookPerson:
        return OutlookPerson(ask, f"/me/calendars/{calendar_id}")
