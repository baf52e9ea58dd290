"""Which calendars somebody has at Google."""

from __future__ import annotations

import pytest

from calendarsync.net import HttpClient
from calendarsync.providers.base import DiscoveredCalendar, MissingScope, NotAuthorized, Unavailable
from calendarsync.providers.google import discover
from tests.providers.google.helpers import NOW
from tests.providers.tokens import GrantTokens
from tests.testbed.google import Account, Model


async def found(client: HttpClient, model: Model, account: Account) -> list[DiscoveredCalendar]:
    return await discover(client, GrantTokens(account), api_url=model.url, now=lambda: NOW)


async def test_the_primary_calendar_comes_first_and_says_who_the_owner_is(
    client: HttpClient, google_model: Model, account: Account
) -> None:
    work = google_model.make_calendar(account, "Work", "America/New_York")
    primary, other = await found(client, google_model, account)
    assert (primary.id, primary.read_only, primary.timezone) == (account.email, False, "Europe/Berlin")
    assert (other.id, other.name, other.timezone) == (work, "Work", "America/New_York")
    assert primary.owner_addresses == other.owner_addresses == (account.email,)


@pytest.mark.parametrize(
    ("role", "read_only"), [("freeBusyReader", True), ("reader", True), ("writer", False), ("owner", False)]
)
async def test_what_may_be_done_with_a_calendar_that_is_shared(
    client: HttpClient, google_model: Model, account: Account, role: str, read_only: bool
) -> None:
    colleague = google_model.account()
    google_model.share(google_model.make_calendar(colleague, "Theirs"), account, role)
    (theirs,) = [each for each in await found(client, google_model, account) if each.name == "Theirs"]
    assert theirs.read_only is read_only


async def test_more_calendars_than_a_page_holds(
    client: HttpClient, google_model: Model, account: Account
) -> None:
    google_model.habits.page_limit = 3
    made = {google_model.make_calendar(account, f"Calendar {number}") for number in range(10)}
    assert {each.id for each in await found(client, google_model, account)} == made | {account.email}


async def test_a_grant_without_the_scope(client: HttpClient, google_model: Model, account: Account) -> None:
    account.restrict("calendar.events")
    with pytest.raises(MissingScope):
        await found(client, google_model, account)


async def test_a_grant_that_is_dead(client: HttpClient, google_model: Model, account: Account) -> None:
    account.revoke()
    with pytest.raises(NotAuthorized):
        await found(client, google_model, account)


async def test_an_outage(client: HttpClient, google_model: Model, account: Account) -> None:
    google_model.fail(503, method="calendarList.list")
    with pytest.raises(Unavailable):
        await found(client, google_model, account)
