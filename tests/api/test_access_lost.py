"""Access that was granted, and ends: each way has its status and its message. In a whole process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.client import Answer
from tests.api.consenting import Asked, Person, at_google, at_microsoft, at_work
from tests.testbed.google import Model as GoogleModel
from tests.testbed.microsoft import Model as MicrosoftModel
from tests.testbed.oauth import Fault


class Synced:
    """A pair from the person's main calendar to another of theirs, which has run."""

    def __init__(self, at: Asked, pair: str, source: str, target: str) -> None:
        self.at = at
        self._pair, self.source, self.target = pair, source, target

    async def run(self) -> Answer:
        return await self.at.client.post(f"/api/v1/sync-pairs/{self._pair}/trigger", {"full": True})

    async def connection(self, connection_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.at.client.get(f"/api/v1/connections/{connection_id}")).json
        return shown

    async def ends_as(self, connection_id: str, status: str, code: str) -> str:
        """The connection after a run that failed; what it says."""
        answer = await self.run()
        assert (answer.status, answer.json["success"]) == (200, False), answer.body
        shown = await self.connection(connection_id)
        assert (shown["status"], shown["last_error"]["code"]) == (status, code), shown
        assert "canary" not in shown["last_error"]["message"]
        message: str = shown["last_error"]["message"]
        return message


async def synced(at: Asked, target: str | None = None) -> Synced:
    source, target = at.calendars[0], target or at.calendars[1]
    assert (await at.pick(await at.ask(), source, target)).status == 200
    by_calendar = {each["calendar_id"]: each["id"] for each in await at.connections()}
    a, b = by_calendar[source], by_calendar[target]
    pair = await at.world.pair(at.client, a, b, direction="a_to_b")
    found = Synced(at, pair["id"], a, b)
    first = await found.run()
    assert first.json["success"] is True, first.body
    return found


@pytest.fixture
def google_person(google_model: GoogleModel) -> Person:
    return at_google(google_model)


@pytest.fixture
async def google_sync(database_url: str, google_person: Person) -> AsyncIterator[Synced]:
    async with at_work(database_url, "google", google_person) as at:
        yield await synced(at)


@pytest.fixture
def microsoft_person(microsoft_model: MicrosoftModel) -> Person:
    return at_microsoft(microsoft_model)


@pytest.fixture
async def microsoft_sync(quick_folder: Any, microsoft_person: Person) -> AsyncIterator[Synced]:
    url = f"sqlite:///{quick_folder / 'calendarsync.sqlite3'}"
    async with at_work(url, "microsoft", microsoft_person) as at:
        yield await synced(at)


def an_event() -> dict[str, Any]:
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    return {
        "summary": "canary-title",
        "start": {"dateTime": start.isoformat()},
        "end": {"dateTime": (start + timedelta(hours=1)).isoformat()},
    }


async def test_a_google_calendar_that_vanished(google_sync: Synced, google_model: GoogleModel) -> None:
    google_model.remove_calendar(google_sync.at.calendars[1])
    await google_sync.ends_as(google_sync.target, "error", "calendar_not_found")


@pytest.fixture
async def shared(
    database_url: str, google_model: GoogleModel, google_person: Person
) -> AsyncIterator[Synced]:
    """Into a calendar of somebody else's, which the person may write to."""
    theirs = google_person.calendars[2]
    google_model.share(theirs, google_person.account, "writer")
    async with at_work(database_url, "google", google_person) as at:
        yield await synced(at, theirs)


async def test_a_google_calendar_that_became_read_only(shared: Synced, google_model: GoogleModel) -> None:
    at = shared.at
    google_model.share(at.calendars[2], at.person.account, "reader")
    google_model.put(at.calendars[0], an_event())
    await shared.ends_as(shared.target, "error", "provider_forbidden")


async def test_a_google_calendar_that_was_unshared(shared: Synced, google_model: GoogleModel) -> None:
    google_model.unshare(shared.at.calendars[2], shared.at.person.account)
    await shared.ends_as(shared.target, "error", "calendar_not_found")


async def test_an_outlook_calendar_that_vanished(
    microsoft_sync: Synced, microsoft_model: MicrosoftModel
) -> None:
    microsoft_model.remove_calendar(microsoft_sync.at.calendars[1])
    await microsoft_sync.ends_as(microsoft_sync.target, "error", "calendar_not_found")


async def test_an_outlook_calendar_that_became_read_only(
    microsoft_sync: Synced, microsoft_model: MicrosoftModel
) -> None:
    source, target = microsoft_sync.at.calendars[:2]
    microsoft_model.set_read_only(target)
    event = an_event()
    microsoft_model.place(
        source,
        {"subject": event["summary"]}
        | {name: graph_time(event[name]["dateTime"]) for name in ("start", "end")},
    )
    await microsoft_sync.ends_as(microsoft_sync.target, "error", "provider_forbidden")


async def test_a_mailbox_that_lost_its_licence(
    microsoft_sync: Synced, microsoft_model: MicrosoftModel
) -> None:
    microsoft_model.set_licensed(microsoft_sync.at.person.account, licensed=False)
    message = await microsoft_sync.ends_as(microsoft_sync.source, "error", "no_mailbox")
    assert "licence" in message


async def test_a_permission_that_was_withdrawn(google_sync: Synced) -> None:
    google_sync.at.person.account.restrict("calendar.calendarlist.readonly")
    await google_sync.ends_as(google_sync.source, "expired", "missing_scope")


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ({"error": "invalid_grant", "error_description": "canary"}, "not_authorized", "anew"),
        ({"error": "admin_policy_enforced"}, "app_forbidden", "dministrator"),
    ],
    ids=["withdrawn", "forbidden"],
)
async def test_access_that_was_withdrawn_or_forbidden(
    google_sync: Synced, answer: dict[str, Any], code: str, words: str
) -> None:
    """All calendars of the grant go on once the person grants it again."""
    at = google_sync.at
    at.person.account.revoke()
    at.server.faults.append(Fault("before", 400, answer))
    assert words in await google_sync.ends_as(google_sync.source, "expired", code)
    at.person.account.grant()
    again = await at.ask(connection_id=google_sync.source)
    assert (await at.grant(again)).status == 200
    for connection_id in (google_sync.source, google_sync.target):
        shown = await google_sync.connection(connection_id)
        assert (shown["status"], shown["last_error"]) == ("active", None)
    assert (await google_sync.run()).json["success"] is True


async def test_a_provider_that_cannot_answer_ends_no_access(google_sync: Synced) -> None:
    at = google_sync.at
    at.person.account.revoke()
    at.server.faults.append(Fault("before", 503))
    assert (await google_sync.run()).json["success"] is False
    assert (await google_sync.connection(google_sync.source))["status"] == "active"
    at.person.account.grant()
    assert (await google_sync.run()).json["success"] is True


def graph_time(moment: str) -> dict[str, str]:
    return {"dateTime": moment.removesuffix("+00:00"), "timeZone": "UTC"}
