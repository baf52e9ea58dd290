"""Fixtures of the tests of the model of Graph."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testbed.graph_checks.kit import Graph
from tests.testbed.microsoft import Account, Model


@pytest.fixture
def graph_account(microsoft_model: Model) -> Account:
    return microsoft_model.account()


@pytest.fixture
def graph(microsoft_model: Model, graph_account: Account) -> Iterator[Graph]:
    """Somebody with a mailbox, and a calendar in it."""
    graph = Graph(microsoft_model.url, graph_account.token)
    yield graph
    graph.http.close()
