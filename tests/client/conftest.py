"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from calendarsync.client import retries
from tests.client.flavours import Perform, asynchronous, blocking
from tests.client.scripted import Scripted, scripted


@pytest.fixture
def script() -> Iterator[Scripted]:
    with scripted() as server:
        yield server


@pytest.fixture(params=[blocking, asynchronous], ids=["blocking", "async"])
def perform(request: pytest.FixtureRequest, script: Scripted) -> Perform:
    """At the scripted server."""
    return partial(request.param, base_url=script.url)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The attempts after which the client waited, each for a moment only."""
    waited: list[int] = []

    def at_once(attempt: int) -> float:
        waited.append(attempt)
        return 0.001

    monkeypatch.setattr(retries, "backoff", at_once)
    return waited
