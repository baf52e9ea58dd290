"""What the checks of Graph share: how one is noted, and the service as one person sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

Json = dict[str, Any]
BERLIN = "W. Europe Standard Time"
COLOR = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Color"
SHAPE = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Shape"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}
SPRING: Json = {"startDateTime": "2026-03-01T00:00:00Z", "endDateTime": "2026-06-01T00:00:00Z"}

CHECKS: list[tuple[str, str, Callable[[Graph], None]]] = []


def check(page: str, claim: str) -> Callable[[Callable[[Graph], None]], Callable[[Graph], None]]:
    def note(run: Callable[[Graph], None]) -> Callable[[Graph], None]:
        CHECKS.append((page, claim, run))
        return run

    return note


class Graph:
    """The service as one person sees it, and a calendar of that person's to work in."""

    def __init__(self, base: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self.base = base.rstrip("/")
        self.http = httpx.Client(base_url=f"{self.base}/v1.0", headers=headers, timeout=30, trust_env=False)
        self.calendar = self.new_calendar()

    def close(self) -> None:
        self.http.delete(f"/me/calendars/{self.calendar}")
        self.http.close()

    def new_calendar(self) -> str:
        name = f"Probe {datetime.now(UTC):%H%M%S%f}"
        return str(self.http.post("/me/calendars", json={"name": name}).json()["id"])

    @property
    def events(self) -> str:
        return f"/me/calendars/{self.calendar}/events"

    def get(self, path: str, headers: Mapping[str, str] | None = None, **query: Any) -> httpx.Response:
        """A leading `_` in the name of an option stands for `$`."""
        options = {name.replace("_", "$"): value for name, value in query.items()}
        return self.http.get(path, params=options or None, headers=headers)

    def post(self, **body: Any) -> httpx.Response:
        return self.http.post(self.events, json=event() | body)

    def make(self, **body: Any) -> Json:
        made = self.post(**body)
        assert made.status_code == 201, made.text
        return dict(made.json())

    def patch(self, event_id: str, **body: Any) -> httpx.Response:
        return self.http.patch(f"/me/events/{event_id}", json=body)

    def delete(self, event_id: str) -> int:
        return self.http.delete(f"/me/events/{event_id}").status_code

    def read(self, event_id: str, headers: Mapping[str, str] | None = None, **query: Any) -> Json:
        return dict(self.get(f"/me/events/{event_id}", headers, **query).json())

    def series(self, start: str = "2026-03-02", **parts: Any) -> Json:
        """A series at 10 in Berlin; what is not of the range belongs to the pattern."""
        span = {"type": "numbered", "numberOfOccurrences": 4, "startDate": start} | parts.pop("range", {})
        pattern = {"type": "daily", "interval": 1} | parts
        times = event(f"{start}T10:00:00", f"{start}T11:00:00")
        return self.make(**times, recurrence={"pattern": pattern, "range": span})

    def instances(self, event_id: str, start: str = "2026-01-01", end: str = "2030-01-01") -> list[Json]:
        query: Json = {
            "startDateTime": f"{start}T00:00:00Z",
            "endDateTime": f"{end}T00:00:00Z",
            "_top": "100",
        }
        return list(self.get(f"/me/events/{event_id}/instances", **query).json()["value"])

    def days(self, event_id: str, **span: str) -> list[str]:
        return [one["start"]["dateTime"][:10] for one in self.instances(event_id, **span)]

    def filter(self, condition: str, name: str = COLOR, **query: Any) -> list[Json]:
        text = f"singleValueExtendedProperties/Any(ep: ep/id eq '{name}' and {condition})"
        answer = self.get(self.events, _filter=text, _top="100", **query)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["value"])

    def round(self, link: str | None = None, headers: Json | None = None) -> tuple[list[Json], str, int]:
        """All rows of a round of delta, the link to the next round, and how many pages it took."""
        rows: list[Json] = []
        pages = 0
        if link is None:
            answer = self.get(f"/me/calendars/{self.calendar}/calendarView/delta", headers, **SPRING)
        else:
            answer = self.http.get(link, headers=headers)
        while True:
            assert answer.status_code == 200, answer.text
            page = answer.json()
            rows, pages = rows + page["value"], pages + 1
            if "@odata.nextLink" not in page:
                return rows, page["@odata.deltaLink"], pages
            answer = self.http.get(page["@odata.nextLink"], headers=headers)

    def batch(self, *requests: Json) -> httpx.Response:
        return self.http.post("/$batch", json={"requests": list(requests)})


def event(start: str = "2026-03-02T10:00:00", end: str = "2026-03-02T11:00:00", zone: str = BERLIN) -> Json:
    times = {"start": {"dateTime": start, "timeZone": zone}, "end": {"dateTime": end, "timeZone": zone}}
    return {"subject": "Probe"} | times


def is_error(answer: httpx.Response, status: int, code: str | None = None) -> None:
    error = answer.json()["error"]
    assert answer.status_code == status, answer.text
    assert error["code"]
    assert "message" in error
    assert code in (None, error["code"]), error["code"]
