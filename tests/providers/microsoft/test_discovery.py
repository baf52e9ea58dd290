"""Which calendars somebody has in Outlook."""

from __future__ import annotations

import pytest

from calendarsync.net import HttpClient
from calendarsync.providers.base import DiscoveredCalendar, Forbidden, NoMailbox, NotAuthorized
from calendarsync.providers.microsoft import discover
from tests.providers.microsoft.helpers import NOW
from tests.providers.tokens import GrantTokens
from tests.testbed.microsoft import Account, Fault, Model


async def found(client: HttpClient, model: Model, account: Account) -> list[DiscoveredCalendar]:
    return await discover(client, GrantTokens(account), api_url=model.url, now=lambda: NOW)


async def test_the_default_calendar_comes_first_then_what_is_there_and_what_is_shared(
    client: HttpClient, microsoft_model: Model, account: Account
) -> None:
    work = microsoft_model.make_calendar(account, "Work", timezone="Tokyo Standard Time")
    other = microsoft_model.account()
    microsoft_model.share(other.calendar_id, account, can_edit=False)
    theirs = microsoft_model.make_calendar(other, "Team")
    microsoft_model.share(theirs, account, can_edit=True)

    calendars = {each.id: each for each in await found(client, microsoft_model, account)}
    assert next(iter(calendars)) == account.calendar_id
    assert set(calendars) == {account.calendar_id, work, other.calendar_id, theirs}
    own = calendars[work]
    assert (own.name, own.read_only, own.timezone, own.primary) == ("Work", False, "Asia/Tokyo", False)
    assert own.owner_addresses == (account.email,)
    assert calendars[account.calendar_id].primary
    assert calendars[theirs].owner_addresses == (other.email,)
    assert not calendars[theirs].read_only
    assert calendars[other.calendar_id].read_only
    assert not calendars[other.calendar_id].primary


async def test_it_costs_one_request(client: HttpClient, microsoft_model: Model, account: Account) -> None:
    await found(client, microsoft_model, account)
    assert [seen.path for seen in microsoft_model.seen if not seen.part] == ["/$batch"]


async def test_all_addresses_of_a_mailbox_count(
    client: HttpClient, microsoft_model: Model, account: Account
) -> None:
    microsoft_model.world.mailbox(account.id).aliases = ("Other.Name@example.com",)
    (calendar,) = await found(client, microsoft_model, account)
    assert calendar.owner_addresses == (account.email, "other.name@example.com")


async def test_more_calendars_than_one_page_holds(
    client: HttpClient, microsoft_model: Model, account: Account
) -> None:
    microsoft_model.habits.page_limit = 4
    made = {microsoft_model.make_calendar(account, f"Calendar {number}") for number in range(9)}
    assert {each.id for each in await found(client, microsoft_model, account)} == {*made, account.calendar_id}


async def test_what_may_not_be_asked_is_left_out(
    client: HttpClient, microsoft_model: Model, account: Account
) -> None:
    microsoft_model.narrow(account, frozenset({"Calendars.ReadWrite"}))
    (calendar,) = await found(client, microsoft_model, account)
    assert calendar.timezone is None
    assert calendar.owner_addresses == (account.email,)  # the calendar names its owner


async def test_an_application_sees_the_mailbox_that_it_was_given(
    client: HttpClient, microsoft_model: Model, account: Account
) -> None:
    tokens = GrantTokens(account, user=account.email)
    tokens.token = microsoft_model.application()
    (calendar,) = await discover(client, tokens, api_url=microsoft_model.url, now=lambda: NOW)
    assert calendar.id == account.calendar_id


async def test_a_mailbox_without_a_licence(
    client: HttpClient, microsoft_model: Model, account: Account
) -> None:
    microsoft_model.set_licensed(account, licensed=False)
    with pytest.raises(NoMailbox, match="licence"):
        await found(client, microsoft_model, account)


async def test_a_list_that_is_denied(client: HttpClient, microsoft_model: Model, account: Account) -> None:
    microsoft_model.faults.order(Fault(403, path="/calendars"))
    with pytest.raises(Forbidden):
        await found(client, microsoft_model, account)


async def test_a_grant_that_is_dead(client: HttpClient, microsoft_model: Model, account: Account) -> None:
    microsoft_model.revoke(account)
    with pytest.raises(NotAuthorized):
        await found(client, microsoft_model, account)
