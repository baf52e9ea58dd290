"""What the tests of Google's calendars share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from calendarsync.net import HttpClient
from calendarsync.providers.google import GoogleCalendar
from tests.providers.tokens import GrantTokens
from tests.testbed.google import Account, Model

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)


def opened(
    client: HttpClient, model: Model, account: Account, calendar_id: str, **options: Any
) -> GoogleCalendar:
    tokens = options.pop("tokens", None) or GrantTokens(account)
    return GoogleCalendar(client, tokens, calendar_id, api_url=model.url, now=lambda: NOW, **options)


def timed(day: int = 2, hour: int = 9, zone: str = "Europe/Berlin") -> dict[str, Any]:
    """Start and end of an hour in March 2026, before the clocks change."""
    start, end = (
        {"dateTime": f"2026-03-{day:02}T{each:02}:00:00+01:00", "timeZone": zone} for each in (hour, hour + 1)
    )
    return {"start": start, "end": end}


class GooglePerson:
    """Somebody who uses Google's own calendar."""

    def __init__(self, model: Model, calendar_id: str) -> None:
        self.model = model
        self.calendar_id = calendar_id

    async def add(self, title: str) -> str:
        return self.put(summary=title)

    async def fill(self, count: int) -> None:
        for number in range(count):
            await self.add(f"Event {number}")

    async def edit(self, resource_id: str, title: str) -> None:
        self.model.put(self.calendar_id, {"summary": title}, resource_id)

    async def remove(self, resource_id: str) -> None:
        self.model.delete(self.calendar_id, resource_id)

    def put(self, **event: Any) -> str:
        """A new event with these fields; its id."""
        made = self.model.put(self.calendar_id, {**timed(), **event})
        return str(made["id"])

    def change(self, resource_id: str, **fields: Any) -> None:
        self.model.put(self.calendar_id, fields, resource_id)

    def events(self) -> dict[str, dict[str, Any]]:
        """What there is, holes among it."""
        return self.model.events(self.calendar_id)
