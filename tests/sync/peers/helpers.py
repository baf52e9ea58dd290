"""Small things that several of these tests do."""

from __future__ import annotations

import pytest

from calendarsync.sync.report import RunReport
from tests.testbed.desk import Desk


def between(*names: str) -> pytest.MarkDecorator:
    """The services at which the two calendars of the fixture `between` are."""
    return pytest.mark.parametrize("between", [names], ids="-".join, indirect=True)


async def read_all_anew(at: Desk, pair: str) -> RunReport:
    """A run that reads both calendars in full and plans, though nothing may have changed."""
    await at.app.change_pair(pair, quiet_until=None)
    report = await at.app.run(pair, full=True)
    assert report.status == "success", report
    return report
