"""Whatever happens in a calendar of the Google model, its syncs lead where a full listing leads."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.testbed.google.api import Api, Request
from tests.testbed.google.channels import Channels
from tests.testbed.google.contract import Contract
from tests.testbed.google.state import World
from tests.testbed.google_calling import at, meeting, weekly

_CONTRACT = Contract()
_SUFFIXES = ("20260302T090000Z", "20260309T090000Z", "20260316T090000Z")
_HABITS = st.sampled_from(["keep", "drop", "reset"])


class Calendar(RuleBasedStateMachine):
    """A calendar, and a mirror of it that syncs after each step, in small pages."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.add_user("ann@example.com", "token")
        self.api = Api(self.world, _CONTRACT, Channels(self.world))
        self.mirror: dict[str, dict[str, Any]] = {}
        self.token: str | None = None
        self.made = 0

    def call(
        self, http: str, path: str = "", body: dict[str, Any] | None = None, **query: str
    ) -> dict[str, Any]:
        target = f"/calendar/v3/calendars/primary/events{path}?{urlencode(query)}"
        content = b"" if body is None else json.dumps(body).encode()
        return (
            self.api.answer(Request(http, target, {"authorization": "Bearer token"}, content)).answer.body
            or {}
        )

    @rule(given=st.sampled_from([meeting(), weekly()]))
    def insert(self, given: dict[str, Any]) -> None:
        self.made += 1
        self.call("POST", body={"id": f"event{self.made:03}", **given})

    @rule(data=st.data(), title=st.sampled_from(["One", "Two"]))
    def patch(self, data: st.DataObject, title: str) -> None:
        self.call("PATCH", self.some(data), {"summary": title})

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.call("DELETE", self.some(data))

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        self.call("PATCH", self.some(data), {"status": "confirmed"})

    @rule(data=st.data(), hour=st.integers(10, 12), habit=_HABITS)
    def retime(self, data: st.DataObject, hour: int, habit: Any) -> None:
        self.world.habits.retimed = habit
        self.call(
            "PATCH", self.some(data), {"start": at(f"2026-03-02 {hour}:00"), "end": at("2026-03-02 13:00")}
        )

    @rule(data=st.data(), habit=_HABITS, count=st.integers(0, 3))
    def change_rule(self, data: st.DataObject, habit: Any, count: int) -> None:
        self.world.habits.retimed = habit
        lines = [f"RRULE:FREQ=WEEKLY;COUNT={count}"] if count else None
        self.call("PATCH", self.some(data), {"recurrence": lines})

    def some(self, data: st.DataObject) -> str:
        """The path of an event that is or was there, or of an instance of one."""
        ids = sorted(self.world.calendars["ann@example.com"].entries)
        event_id = data.draw(st.sampled_from(ids)) if ids else "none0"
        suffix = data.draw(st.sampled_from(["", *_SUFFIXES])) if "_" not in event_id else ""
        return f"/{event_id}_{suffix}" if suffix else f"/{event_id}"

    @invariant()
    def a_sync_leads_where_a_listing_leads(self) -> None:
        items, self.token = self.pages(**({"syncToken": self.token} if self.token else {}))
        for item in items:
            self.mirror.pop(item["id"], None)
            if item["status"] != "cancelled" or "recurringEventId" in item:
                self.mirror[item["id"]] = item
        listed, _ = self.pages()
        assert self.seen(self.mirror) == self.seen({item["id"]: item for item in listed})
        assert self.world.violations == []

    def pages(self, **query: str) -> tuple[list[dict[str, Any]], str]:
        items: list[dict[str, Any]] = []
        page = self.call("GET", maxResults="3", **query)
        while "nextPageToken" in page:
            items += page["items"]
            page = self.call("GET", maxResults="3", pageToken=page["nextPageToken"], **query)
        return items + page["items"], page["nextSyncToken"]

    def seen(self, held: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """What somebody is shown: events, exceptions, and the holes of series that have a place for them."""
        return {
            event_id: event
            for event_id, event in held.items()
            if event["status"] != "cancelled" or self.is_hole(event, held)
        }

    def is_hole(self, event: dict[str, Any], held: dict[str, dict[str, Any]]) -> bool:
        if "recurrence" not in held.get(event["recurringEventId"], {}):
            return False
        found = self.call("GET", f"/{event['recurringEventId']}/instances", showDeleted="true")["items"]
        return any(each["id"] == event["id"] and each["status"] == "cancelled" for each in found)


def test_syncs_lead_where_a_listing_leads() -> None:
    run_state_machine_as_test(
        Calendar, settings=settings(max_examples=40, stateful_step_count=20, deadline=None)
    )
