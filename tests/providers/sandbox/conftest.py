"""Fixtures of the sandbox's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from calendarsync.providers.sandbox import SandboxCalendar
from tests.testbed.sandbox import SandboxPerson, sandbox


@pytest.fixture
async def person(database_url: str) -> AsyncIterator[SandboxPerson]:
    async with sandbox(database_url) as person:
        yield person


@pytest.fixture
def calendar(person: SandboxPerson) -> SandboxCalendar:
    return person.open()
