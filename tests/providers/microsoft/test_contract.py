"""The contract of all providers, against the model of Microsoft Graph."""

from __future__ import annotations

import pytest

from tests.providers.contract import CalendarContract
from tests.providers.contract_amend import AmendContract
from tests.testbed.microsoft import Model


class _OnGraph(CalendarContract):
    holds_floating = False
    holds_extra_dates = False


class TestMicrosoft(_OnGraph):
    pass


class TestMicrosoftAmends(AmendContract):
    holds_floating = False
    holds_extra_dates = False


class TestMicrosoftInShortPages(_OnGraph):
    """With rows that come twice, and no rows of masters (event-delta, delta-query-overview)."""

    @pytest.fixture(autouse=True)
    def habit(self, microsoft_model: Model) -> None:
        microsoft_model.habits.page_limit = 50
        microsoft_model.habits.repeats = 3
        microsoft_model.habits.masters = False


class TestMicrosoftWithoutTransactions(_OnGraph):
    """That rows of delta show the transactionId is assumed."""

    @pytest.fixture(autouse=True)
    def habit(self, microsoft_model: Model) -> None:
        microsoft_model.habits.transaction_in_delta = False


class TestMicrosoftThatUsesIdsUp(_OnGraph):
    """What becomes of the transactionId of a deleted event is not documented."""

    @pytest.fixture(autouse=True)
    def habit(self, microsoft_model: Model) -> None:
        microsoft_model.habits.transaction_after_delete = "refuse"
