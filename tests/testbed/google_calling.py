"""Calls of the Google model by somebody who has read no more than Google's reference."""

from __future__ import annotations

from typing import Any

import httpx

from tests.testbed.google import Account, Model

ZONE = "Europe/Berlin"


class Caller:
    """Calls about one calendar, as one account. Each method returns httpx's response, or the JSON of a 200."""

    def __init__(self, model: Model, account: Account | None = None, calendar: str = "primary") -> None:
        self.model = model
        self.account = account or model.account()
        self.calendar = calendar

    def ask(self, http: str, path: str, **given: Any) -> httpx.Response:
        """Any call; `path` follows `/calendar/v3`. `headers` are added, `json` and `params` as httpx takes them."""
        headers = {"Authorization": f"Bearer {self.account.token}", **given.pop("headers", {})}
        url = f"{self.model.url}/calendar/v3{path}"
        return httpx.request(http, url, headers=headers, timeout=30, trust_env=False, verify=False, **given)

    def raw(self, http: str, path: str = "", **given: Any) -> httpx.Response:
        """A call about this calendar's events."""
        return self.ask(http, f"/calendars/{self.calendar}/events{path}", **given)

    def insert(self, **event: Any) -> dict[str, Any]:
        return got(self.raw("POST", json=meeting(**event)))

    def patch(self, event_id: str, change: dict[str, Any], **given: Any) -> dict[str, Any]:
        return got(self.raw("PATCH", f"/{event_id}", json=change, **given))

    def delete(self, event_id: str, **given: Any) -> None:
        response = self.raw("DELETE", f"/{event_id}", **given)
        assert response.status_code == 204, response.text

    def get(self, event_id: str, **params: Any) -> dict[str, Any]:
        return got(self.raw("GET", f"/{event_id}", params=params))

    def page(self, **params: Any) -> dict[str, Any]:
        return got(self.raw("GET", params=params))

    def list(self, **params: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.page(**params)["items"]
        return items

    def instances(self, event_id: str, **params: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = got(self.raw("GET", f"/{event_id}/instances", params=params))["items"]
        return items


def got(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Status and reason of an error."""
    return response.status_code, response.json()["error"]["errors"][0]["reason"]


def at(text: str, zone: str = ZONE) -> dict[str, str]:
    """`2026-03-02 10:00` as a time in a zone, `2026-03-02` as a date."""
    day, _, clock = text.partition(" ")
    return {"dateTime": f"{day}T{clock}:00", "timeZone": zone} if clock else {"date": day}


def meeting(**event: Any) -> dict[str, Any]:
    """An hour on a Monday morning, where nothing else is said."""
    return {"summary": "Meeting", "start": at("2026-03-02 10:00"), "end": at("2026-03-02 11:00"), **event}


def weekly(**event: Any) -> dict[str, Any]:
    """Four Mondays; the clocks change before the last of them."""
    return meeting(**{"recurrence": ["RRULE:FREQ=WEEKLY;COUNT=5"], **event})
