"""Fixtures of Microsoft's calendars: somebody's, on the model."""

from __future__ import annotations

import pytest

from calendarsync.net import HttpClient
from calendarsync.providers.microsoft import MicrosoftCalendar
from tests.providers.contract import Mirror
from tests.providers.microsoft.helpers import GraphPerson, opened
from tests.testbed.microsoft import Account, Model


@pytest.fixture
def account(microsoft_model: Model) -> Account:
    return microsoft_model.account()


@pytest.fixture
def calendar_id(microsoft_model: Model, account: Account) -> str:
    return microsoft_model.make_calendar(account, "Work")


@pytest.fixture
def calendar(
    client: HttpClient, microsoft_model: Model, account: Account, calendar_id: str
) -> MicrosoftCalendar:
    return opened(client, microsoft_model, account, calendar_id)


@pytest.fixture
def person(client: HttpClient, microsoft_model: Model, account: Account, calendar_id: str) -> GraphPerson:
    return GraphPerson(client, microsoft_model, account, calendar_id)


@pytest.fixture
def mirror(calendar: MicrosoftCalendar) -> Mirror:
    return Mirror(calendar)
