"""Fixtures of Google's calendars: somebody's, on the model."""

from __future__ import annotations

import pytest

from calendarsync.net import HttpClient
from calendarsync.providers.google import GoogleCalendar
from tests.providers.contract import Mirror
from tests.providers.google.helpers import GooglePerson, opened
from tests.testbed.google import Account, Model


@pytest.fixture
def account(google_model: Model) -> Account:
    return google_model.account()


@pytest.fixture
def calendar_id(google_model: Model, account: Account) -> str:
    return google_model.make_calendar(account)


@pytest.fixture
def calendar(client: HttpClient, google_model: Model, account: Account, calendar_id: str) -> GoogleCalendar:
    return opened(client, google_model, account, calendar_id)


@pytest.fixture
def person(google_model: Model, calendar_id: str) -> GooglePerson:
    return GooglePerson(google_model, calendar_id)


@pytest.fixture
def mirror(calendar: GoogleCalendar) -> Mirror:
    return Mirror(calendar)
