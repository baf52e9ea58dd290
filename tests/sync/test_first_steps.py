"""A pair on a real Radicale: the shape of one whole sync."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.testbed.desk import Desk, desk
from tests.testbed.events import event
from tests.testbed.radicale import RadicaleServer


@pytest.fixture
async def at(radicale: RadicaleServer, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(radicale, tmp_path) as made:
        yield made


async def test_rule_9_a_block_and_nothing_else(at: Desk) -> None:
    at.put_a("one", event("one", title="Merger talks", extra="DESCRIPTION:Zanzibar\nLOCATION:Room 7"))
    pair = await at.pair()
    report = await at.app.sync(pair)
    assert (report.events_created, report.events_updated, report.events_deleted) == (1, 0, 0)
    (copy,) = at.copies_b()
    assert "SUMMARY:Busy" in copy
    for word in ("Merger", "Zanzibar", "Room 7", "one"):
        assert word not in copy.replace("Standard Time", "")
