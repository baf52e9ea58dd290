"""A person opens a link, grants access, and picks calendars: against models of the providers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.api.consenting import RETURN_URL, Asked, asked, listed, told
from tests.testbed.google import Model as GoogleModel


@pytest.fixture
async def google(database_url: str, google_model: GoogleModel) -> AsyncIterator[Asked]:
    person = google_model.account()
    async with asked(
        database_url, "google", api_url=google_model.url, tokens={person.email: person.token}
    ) as at:
        at.server.person = person.email
        await at.client.patch("/api/v1/account", {"return_urls": [RETURN_URL]})
        yield at


async def test_from_the_link_to_the_connection(google: Asked) -> None:
    link = await google.ask(return_url=RETURN_URL)
    (waiting,) = await google.connections()
    assert (waiting["id"], waiting["status"], waiting["calendar_id"]) == (
        link["connection_id"],
        "pending",
        "",
    )
    url, page = await google.choices(link)
    assert page.status == 200, page.body
    print(page.body.decode())
    answer = await google.browser.submit(page, url, ("calendar", google.server.person), ("do", "connect"))
    assert told(answer) == {"tenant": "7", "connection_id": link["connection_id"], "status": "active"}
    (connected,) = await google.connections()
    assert connected["status"] == "active"
    assert connected["email"] == connected["calendar_id"] == google.server.person
    assert listed(page).keys() == {google.server.person}
