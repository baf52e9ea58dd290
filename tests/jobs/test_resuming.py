"""A pause that was asked for over the API with `resume_at` ends by itself: a worker takes the pair up then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from calendarsync.accounts.keys import Mode, create_key
from calendarsync.api.app import create_app
from calendarsync.api.services import Services
from calendarsync.grants import Grants
from calendarsync.jobs.bursts import Bursts
from calendarsync.jobs.channels import Channels
from calendarsync.jobs.notices import Notices
from calendarsync.jobs.outbox import Outbox
from calendarsync.jobs.pushing import push_of
from calendarsync.settings import Settings
from calendarsync.store.tables import connections, pairs
from tests.api.client import Client
from tests.jobs.conftest import Workplace
from tests.testbed.events import event
from tests.testbed.memory_desk import MemoryDesk

Connect = Callable[[Mode], Awaitable[Client]]
URL = "/api/v1/sync-pairs"
HOUR = timedelta(hours=1)


@pytest.fixture
def client_of(at: MemoryDesk, scheduled: Workplace, database_url: str) -> Connect:
    """Makes a client of the API that works on the database of the desk, beside its worker."""
    app = at.app
    settings = Settings(
        database_url=database_url, secret_key=SecretStr("a secret that only tests know and nobody else")
    )
    grants, bursts = Grants(app.db, app.keyring, app.http, settings), Bursts(app.db, scheduled.wakeups)
    push = push_of(settings, app.http, grants, now=app.clock)
    services = Services(
        *(app.db, app.keyring, settings, app.http, scheduled.runner, scheduled.worker.wake, app.clock),
        Outbox(app.db, scheduled.wakeups),
        grants,
        Notices(app.db, app.keyring, bursts),
        Channels(app.db, app.keyring, push, on_gap=bursts.add),
    )

    async def connect(mode: Mode) -> Client:
        key = await create_key(app.db, app.keyring, at.account, mode, now=app.clock())
        return Client(create_app(services), key)

    return connect


def stamp(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


async def is_left_alone(at: MemoryDesk, scheduled: Workplace, pair: str) -> None:
    """Nothing is read or written for it (rule 19)."""
    logged = await scheduled.logged()
    at.store("a").put("2.ics", event("two", "20260305T090000", "20260305T100000"))
    await scheduled.tick()
    await scheduled.until_free(pair)
    assert await scheduled.logged() == logged
    assert len(at.store("b").resources) == 1


@pytest.mark.parametrize("many", [False, True], ids=["one", "all"])
async def test_rule_19_a_pause_ends_at_its_time(
    at: MemoryDesk, scheduled: Workplace, client_of: Connect, many: bool
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    await scheduled.worker.start()
    await scheduled.until_logged(1)
    await scheduled.until_free(pair)
    client = await client_of(Mode.LIVE)
    until = {"resume_at": stamp(at.app.clock() + 2 * HOUR)}
    if many:
        assert (await client.post(f"{URL}/pause", {"all": True, **until})).json["changed"] == 1
    else:
        assert (await client.patch(f"{URL}/{pair}", {"status": "paused", **until})).status == 200
    at.app.clock.advance(hours=1)
    await is_left_alone(at, scheduled, pair)
    at.app.clock.advance(hours=1)
    await scheduled.tick()
    await scheduled.until_logged(2)
    await scheduled.until_free(pair)
    assert len(at.store("b").resources) == 2, "one run brings in what happened meanwhile"
    shown = (await client.get(f"{URL}/{pair}")).json
    assert (shown["status"], shown["resume_at"]) == ("active", None)


async def test_in_test_mode_it_ends_when_the_accounts_clock_is_moved(
    at: MemoryDesk, scheduled: Workplace, client_of: Connect
) -> None:
    at.store("a").put("1.ics", event("one"))
    pair = await at.pair()
    async with at.app.db.write() as db:
        for table in (connections, pairs):
            await db.execute(update(table).values(mode="test"))
    await scheduled.worker.start()
    await scheduled.until_logged(1)
    await scheduled.until_free(pair)
    tester = await client_of(Mode.TEST)
    day = timedelta(days=1)
    ahead = (await tester.post("/api/v1/sandbox/clock", {"advance_seconds": 86_400})).json
    assert ahead["now"] == stamp(at.app.clock() + day)
    await scheduled.tick()
    await scheduled.until_logged(2)
    await scheduled.until_free(pair)
    until = stamp(at.app.clock() + day + 2 * HOUR)
    assert (await tester.post(f"{URL}/pause", {"all": True, "resume_at": until})).json["changed"] == 1
    await tester.post("/api/v1/sandbox/clock", {"advance_seconds": 3_600})
    assert (await tester.get(f"{URL}/{pair}")).json["resume_at"] == until
    await is_left_alone(at, scheduled, pair)
    await tester.post("/api/v1/sandbox/clock", {"advance_seconds": 3_600})
    await scheduled.tick()
    await scheduled.until_logged(3)
    assert (await tester.get(f"{URL}/{pair}")).json["status"] == "active"
    assert len(at.store("b").resources) == 2
