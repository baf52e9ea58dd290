"""Every file of the corpus, put into calendars of a real server, and synced into empty ones beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from calendarsync.providers.icalendar import read_resource
from tests.corpus.arrival import Arrivals, Outcomes
from tests.corpus.files import NOW, WIDE_OPEN
from tests.corpus.shelf import Shelf, SourceCalendar
from tests.corpus.table import check_table
from tests.testbed.cyrus import cyrus_server, missing
from tests.testbed.dav import DavServer
from tests.testbed.installation import Clock, Installation, installation

ZONE = "Europe/Berlin"
LEAST_WHOLE, LEAST_IN_ALL = 60, 200


@pytest.fixture(params=["radicale", "xandikos", "cyrus"])
def named_server(request: pytest.FixtureRequest) -> Iterator[tuple[str, DavServer]]:
    """A server on which no other test has left a UID: Cyrus takes none twice from one person."""
    if request.param != "cyrus":
        yield request.param, request.getfixturevalue(request.param)
        return
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with cyrus_server() as server:
        yield request.param, server


async def test_every_file_put(named_server: tuple[str, DavServer], tmp_path: Path) -> None:
    """Each resource that the server took arrives or stands in the log, and none stops a run."""
    name, server = named_server
    shelf, outcomes = Shelf(server), Outcomes()
    shelf.fill()
    assert shelf.whole > LEAST_WHOLE
    assert shelf.whole + shelf.parts > LEAST_IN_ALL
    async with installation(tmp_path, clock=Clock(NOW)) as app:
        account = await app.account()
        for calendar in shelf.calendars:
            await sync(app, account, shelf.server, calendar, outcomes)
    assert outcomes.wrong == []
    check_table(name, [*shelf.rows(), "", *outcomes.rows()])


async def sync(
    app: Installation, account: str, server: DavServer, calendar: SourceCalendar, outcomes: Outcomes
) -> None:
    target = server.make_calendar()
    a = await app.connect(account, server, calendar.url, timezone=ZONE)
    b = await app.connect(account, server, target, timezone=ZONE)
    pair = await app.pair(a, b, sync_mode="full", direction="a_to_b", **WIDE_OPEN)
    report = await app.run(pair)
    assert report.error is None
    arrivals = Arrivals(report, server.read_all(target), ZONE)
    for name, file in calendar.files.items():
        # Servers write some resources anew: what counts is what the calendar holds.
        data = server.get(calendar.url, name)
        assert data is not None, file
        arrivals.judge(file, read_resource(name, None, data), outcomes)
