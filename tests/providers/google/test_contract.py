"""The contract of all providers, against the model of Google Calendar."""

from __future__ import annotations

from typing import ClassVar, Literal

import pytest

from tests.providers.contract import CalendarContract
from tests.providers.contract_amend import AmendContract
from tests.testbed.google import Model


class TestGoogle(CalendarContract):
    holds_floating = False


class TestGoogleAmends(AmendContract):
    holds_floating = False


class _WithHabit(CalendarContract):
    """What becomes of a series' exceptions when its times change is not documented."""

    holds_floating = False
    retimed: ClassVar[Literal["drop", "reset"]]

    @pytest.fixture(autouse=True)
    def habit(self, google_model: Model) -> None:
        google_model.habits.retimed = self.retimed


class TestGoogleThatDropsExceptions(_WithHabit):
    retimed = "drop"


class TestGoogleThatResetsExceptions(_WithHabit):
    retimed = "reset"


class TestGoogleInShortPages(CalendarContract):
    """ "The number of events in the resulting page may be less" (events.list)."""

    holds_floating = False

    @pytest.fixture(autouse=True)
    def habit(self, google_model: Model) -> None:
        google_model.habits.page_limit = 50
