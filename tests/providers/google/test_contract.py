"""The contract of all providers, against the model of Google Calendar."""

from __future__ import annotations

import pytest

from tests.providers.contract import CalendarContract
from tests.testbed.google import Model


class TestGoogle(CalendarContract):
    holds_floating = False


class TestGoogleThatResetsExceptions(CalendarContract):
    """What becomes of a series' exceptions when its times change is not documented."""

    holds_floating = False

    @pytest.fixture(autouse=True)
    def habit(self, google_model: Model) -> None:
        google_model.habits.retimed = "reset"


class TestGoogleThatKeepsExceptions(CalendarContract):
    holds_floating = False

    @pytest.fixture(autouse=True)
    def habit(self, google_model: Model) -> None:
        google_model.habits.retimed = "keep"


class TestGoogleInShortPages(CalendarContract):
    """ "The number of events in the resulting page may be less" (events.list)."""

    holds_floating = False

    @pytest.fixture(autouse=True)
    def habit(self, google_model: Model) -> None:
        google_model.habits.page_limit = 50
