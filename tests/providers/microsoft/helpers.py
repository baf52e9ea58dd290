"""What the tests of Microsoft's calendars share."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from calendarsync.net import HttpClient
from calendarsync.providers.microsoft import MicrosoftCalendar
from tests.providers.tokens import GrantTokens
from tests.testbed.microsoft import Account, Model

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
BERLIN = "W. Europe Standard Time"


def opened(
    client: HttpClient, model: Model, account: Account, calendar_id: str, **options: Any
) -> MicrosoftCalendar:
    tokens = options.pop("tokens", None) or GrantTokens(account)
    now = options.pop("now", lambda: NOW)
    return MicrosoftCalendar(client, tokens, calendar_id, api_url=model.url, now=now, **options)


def timed(day: int = 2, hour: int = 9, zone: str = BERLIN) -> dict[str, Any]:
    """Start and end of an hour in March 2026."""
    start, end = (
        {"dateTime": f"2026-03-{day:02}T{each:02}:00:00", "timeZone": zone} for each in (hour, hour + 1)
    )
    return {"start": start, "end": end}


def weekly(count: int = 5) -> dict[str, Any]:
    """Every Monday from 2 March 2026 on."""
    pattern = {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"], "firstDayOfWeek": "monday"}
    return {
        "recurrence": {
            "pattern": pattern,
            "range": {"type": "numbered", "startDate": "2026-03-02", "numberOfOccurrences": count},
        }
    }


class GraphPerson:
    """Somebody who uses Outlook, which speaks to the same mailbox."""

    def __init__(self, client: HttpClient, model: Model, account: Account, calendar_id: str) -> None:
        self.model = model
        self.account = account
        self.calendar_id = calendar_id
        self._client = client

    async def add(self, title: str) -> str:
        return self.put(subject=title)

    async def fill(self, count: int) -> None:
        for number in range(count):
            self.put(subject=f"Event {number}")

    async def edit(self, resource_id: str, title: str) -> None:
        await self.call("PATCH", f"/me/events/{resource_id}", {"subject": title})

    async def remove(self, resource_id: str) -> None:
        await self.call("DELETE", f"/me/events/{resource_id}")

    def put(self, **event: Any) -> str:
        """A new event with these fields; its id."""
        return self.model.place(self.calendar_id, {**timed(), **event})

    async def instances(self, resource_id: str) -> list[dict[str, Any]]:
        """Those of a series in March and April 2026, in order."""
        span = "startDateTime=2026-03-01T00:00:00Z&endDateTime=2026-05-01T00:00:00Z"
        answer = await self.call("GET", f"/me/events/{resource_id}/instances?{span}&$top=100")
        return sorted(answer["value"], key=lambda row: str(row["start"]["dateTime"]))

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.account.token}", "Prefer": 'IdType="ImmutableId"'}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        url = f"{self.model.url}/v1.0{path}"
        response = await self._client.request(method, url, headers=headers, body=data)
        assert 200 <= response.status < 300, response.status
        return json.loads(response.body) if response.body else {}
