"""`doctor`: what it finds of settings, database, clock, registrations and grants."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import insert

from calendarsync.cli.checkup import Finding, examine
from calendarsync.net import HttpClient
from calendarsync.settings import Settings
from calendarsync.store import tables
from calendarsync.store.database import Database
from tests.cli.processes import environment, running

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
SECRET = "a secret that is long enough for this"


class Provider:
    """Both providers in one: it knows one client, and tells the time that it was given."""

    def __init__(self) -> None:
        self.url = ""
        self.date = NOW
        self.forms: list[dict[str, str]] = []

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        if form["client_secret"] != SECRET:
            return web.json_response({"error": "invalid_client"}, status=401)
        return web.json_response({"error": "invalid_grant"}, status=400)

    async def api(self, _: web.Request) -> web.Response:
        return web.Response(text="{}", headers={"Date": format_datetime(self.date, usegmt=True)})


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    app = web.Application()
    app.router.add_post("/token", made.token)
    app.router.add_post("/common/oauth2/v2.0/token", made.token)
    app.router.add_get("/{path:.*}", made.api)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def settings_of(provider: Provider, folder: Path, **given: Any) -> Settings:
    defaults: dict[str, Any] = {
        "database_url": f"sqlite:///{folder / 'calendarsync.sqlite3'}",
        "public_url": "https://calendar.example.com",
        **{f"google_{part}_url": provider.url for part in ("api", "auth", "token")},
        **{f"microsoft_{part}_url": provider.url for part in ("api", "auth")},
        **{f"{name}_client_id": "client" for name in ("google", "microsoft")},
        **{f"{name}_client_secret": SECRET for name in ("google", "microsoft")},
        "allowed_private_networks": "127.0.0.0/8",
    }
    return Settings(**defaults | given)


async def look(settings: Settings) -> dict[str, list[Finding]]:
    async with HttpClient(allowed_private_networks=[ip_network("127.0.0.0/8")]) as http:
        findings = await examine(settings, http, lambda: NOW)
    by_about: dict[str, list[Finding]] = {}
    for finding in findings:
        by_about.setdefault(finding.about, []).append(finding)
    return by_about


async def test_where_all_is_well_nothing_is_wrong(provider: Provider, quick_folder: Path) -> None:
    found = await look(settings_of(provider, quick_folder))
    states = {about: {each.state.value for each in several} for about, several in found.items()}
    assert states == {
        "database": {"ok"},
        "secret key": {"ok"},
        "redirect address, Google": {"note"},
        "redirect address, Microsoft": {"note"},
        "push": {"ok"},
        "Google: client": {"ok"},
        "Google: calendars": {"ok"},
        "Microsoft: client": {"ok"},
        "Microsoft: calendars": {"ok"},
        "clock": {"ok"},
    }
    (address,) = found["redirect address, Google"]
    assert address.message == "https://calendar.example.com/connect/google/callback"
    assert {form["refresh_token"] for form in provider.forms} == {"calendarsync-doctor"}


async def test_a_secret_that_is_not_accepted(provider: Provider, quick_folder: Path) -> None:
    wrong = "another secret, that nobody knows"
    found = await look(settings_of(provider, quick_folder, google_client_secret=wrong))
    (client,) = found["Google: client"]
    assert client.state == "error"
    assert wrong not in client.message
    assert found["Microsoft: client"][0].state == "ok"


async def test_half_a_registration_names_the_other_half(provider: Provider, quick_folder: Path) -> None:
    found = await look(settings_of(provider, quick_folder, microsoft_client_secret=None))
    assert found["Microsoft"][0].state == "error"
    assert "CALENDARSYNC_MICROSOFT_CLIENT_SECRET" in found["Microsoft"][0].message


@pytest.mark.parametrize(("seconds", "state"), [(59, "ok"), (-59, "ok"), (61, "error"), (-3600, "error")])
async def test_a_clock_that_is_off(provider: Provider, quick_folder: Path, seconds: int, state: str) -> None:
    provider.date = NOW + timedelta(seconds=seconds)
    found = await look(settings_of(provider, quick_folder))
    assert {each.state.value for each in found["clock"]} == {state}
    side = "behind" if seconds > 0 else "ahead of"
    assert (side in found["clock"][0].message) is (state == "error")


async def test_a_service_that_is_not_reached(provider: Provider, quick_folder: Path) -> None:
    found = await look(settings_of(provider, quick_folder, google_api_url="http://127.0.0.1:1"))
    assert found["Google: calendars"][0].state == "error"


@pytest.mark.parametrize("url", ["http://calendar.example.com", "https://10.0.0.1"])
async def test_an_address_at_which_no_push_arrives(provider: Provider, quick_folder: Path, url: str) -> None:
    found = await look(settings_of(provider, quick_folder, public_url=url))
    assert found["push"][0].state == "warning"
    assert "CALENDARSYNC_PUBLIC_URL" in found["push"][0].message


async def test_grants_that_ended_or_lack_a_scope_are_told(provider: Provider, quick_folder: Path) -> None:
    settings = settings_of(provider, quick_folder)
    db = Database(settings.database_url)
    account = {"id": "acct_1", "email": "you@example.com", "plan": "free", "created_at": NOW}
    events = "https://www.googleapis.com/auth/calendar.events"
    listing = "https://www.googleapis.com/auth/calendar.calendarlist.readonly"
    async with db.write() as connection:
        await connection.execute(insert(tables.accounts).values(account))
        for number, (scopes, status) in enumerate([([events, listing], "expired"), ([events], "active")]):
            grant = {
                "id": f"grant_{number}",
                "account_id": "acct_1",
                "mode": "live",
                "provider": "google",
                "subject_hash": f"{number}",
                "email": "you@example.com",
                "scopes": scopes,
                "credentials_encrypted": b"",
                "status": status,
                "generation": 0,
                "created_at": NOW,
            }
            await connection.execute(insert(tables.grants).values(grant))
    await db.close()
    found = await look(settings)
    assert (found["Google: grants"][0].state, found["Google: grants"][0].message) == (
        "warning",
        "1 active, 1 expired.",
    )
    (lacks,) = found["Google: scopes"]
    assert "grant_1" in lacks.message
    assert "calendarlist" in lacks.message


def test_without_a_database_it_makes_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none.sqlite3'}"
    with running(
        tmp_path, environment(tmp_path, CALENDARSYNC_DATABASE_URL=url), "doctor", "--json"
    ) as process:
        output, _ = process.communicate(timeout=60)
    states = {each["about"]: each["state"] for each in json.loads(output)}
    assert (process.returncode, states["database"], states["Google"]) == (0, "note", "note")
    assert not (tmp_path / "none.sqlite3").exists()
