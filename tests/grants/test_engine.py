"""The engine at Google: one grant carries several calendars, its end is told once, a new consent goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from sqlalchemy import insert, select

from calendarsync.grants import authorization_url, new_verifier, redeem, store_grant
from calendarsync.jobs.process import Process, running
from calendarsync.store.tables import connections, pairs, webhook_events, webhooks
from tests.grants.conftest import Place
from tests.testbed.google import Account
from tests.testbed.google import Model as GoogleModel

REDIRECT = "http://127.0.0.1:8000/connect/callback"
EVENT = {
    "summary": "Dentist",
    "start": {"dateTime": "2026-12-07T10:00:00+01:00", "timeZone": "Europe/Berlin"},
    "end": {"dateTime": "2026-12-07T11:00:00+01:00", "timeZone": "Europe/Berlin"},
}


@pytest.fixture
async def at(here: Place, google_model: GoogleModel) -> Place:
    """An installation at the model of Google, with somebody's webhook for all that happens."""
    url = google_model.url
    here.settings = here.settings.model_copy(
        update={"google_auth_url": url, "google_token_url": url, "google_api_url": url}
    )
    row = {
        "id": "whk_a",
        "url_encrypted": b"sealed",
        "secret_encrypted": b"sealed",
        "events": ["connection.expired"],
        "format": "event",
        "only_changed": False,
        "status": "enabled",
        "created_at": here.clock(),
        **here.tenant.values(),
    }
    async with here.db.write() as db:
        await db.execute(insert(webhooks).values(**row))
    return here


async def consent(at: Place, account: Account) -> str:
    """The grant of somebody who opens a link and agrees."""
    verifier = new_verifier()
    address = authorization_url(
        at.settings,
        "google",
        state="s",
        verifier=verifier,
        redirect_uri=REDIRECT,
        login_hint=account.email,
    )
    async with httpx.AsyncClient() as browser:
        back = (await browser.get(address)).headers["location"]
    code = dict(parse_qsl(urlsplit(back).query))["code"]
    granted = await redeem(
        at.http,
        at.settings,
        "google",
        code=code,
        verifier=verifier,
        redirect_uri=REDIRECT,
        now=at.clock,
    )
    async with at.db.write_as(at.tenant) as db:
        return await store_grant(db, at.tenant, at.keyring, granted, now=at.clock())


@asynccontextmanager
async def process(at: Place) -> AsyncIterator[Process]:
    async with running(at.settings, schedule=False) as made:
        yield made


async def run(at: Place, made: Process, pair: str) -> Any:
    async with asyncio.timeout(60):
        return await (await made.runner.trigger(at.tenant, pair)).done


async def statuses(at: Place) -> dict[str, str]:
    async with at.db.read() as db:
        found = (await db.execute(select(connections.c.id, connections.c.status))).all()
    return {row.id: row.status for row in found}


async def told(at: Place) -> int:
    async with at.db.read() as db:
        return len((await db.execute(select(webhook_events))).all())


async def test_one_grant_carries_calendars_until_it_ends_and_beyond(
    at: Place, google_model: GoogleModel
) -> None:
    ann = google_model.account()
    team = google_model.make_calendar(ann, "Team")
    grant = await consent(at, ann)
    for name, calendar in (("conn_a", ann.email), ("conn_b", team)):
        await at.connect(grant, name, calendar_id=calendar, calendar_key=calendar, grant_hash=grant)
    pair = await at.pair("pair_a", "conn_a", "conn_b", direction="a_to_b", due_at=None)
    google_model.put(ann.email, EVENT)

    async with process(at) as made:
        assert (await run(at, made, pair)).status == "success"
        assert len(google_model.events(team)) == 1

        # The access token runs out: one question, whichever calendars need another.
        ann.rotate()
        google_model.put(ann.email, EVENT | {"summary": "Barber"})
        before = sum(each.method == "oauth.token" for each in google_model.seen)
        assert (await run(at, made, pair)).status == "success"
        assert len(google_model.events(team)) == 2
        assert sum(each.method == "oauth.token" for each in google_model.seen) == before + 1

        # The person takes the access back.
        ann.revoke()
        for _ in range(3):
            assert (await run(at, made, pair)).status == "failed"
        assert (await statuses(at))["conn_a"] == "expired"
        assert await told(at) == list((await statuses(at)).values()).count("expired")
        assert (await at.row(grant))["status"] == "expired"

        # And grants it once more.
        google_model.put(ann.email, EVENT | {"summary": "Optician"})
        assert await consent(at, ann) == grant
        assert await statuses(at) == {"conn_a": "active", "conn_b": "active"}
        assert (await run(at, made, pair)).status == "success"
        assert len(google_model.events(team)) == 3
    async with at.db.read() as db:
        assert (await db.execute(select(pairs.c.status))).scalar_one() == "active"
