"""Failures of peers with grants at Google: an end that nobody was told of, and a refresh by everybody at once.

Each test names the issue that it stems from, and what happened there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from calendarsync.grants import refreshing
from calendarsync.providers.google import session
from calendarsync.store.tables import connections, runs, webhook_events, webhooks
from tests.grants.conftest import Place, place
from tests.grants.test_engine import consent, process, run
from tests.testbed.google import Account
from tests.testbed.google import Model as GoogleModel
from tests.testbed.oauth import Fault, OAuthServer


def database(folder: Path) -> str:
    return f"sqlite:///{folder}/calendarsync.sqlite3"


@pytest.fixture
async def at(quick_folder: Path, google_model: GoogleModel) -> AsyncIterator[Place]:
    """An installation whose Google is the model, with somebody's webhook for connections that end."""
    async with (
        OAuthServer().running() as unused,
        place(unused, f"sqlite:///{quick_folder}/calendarsync.sqlite3") as made,
    ):
        url = google_model.url
        made.settings = made.settings.model_copy(
            update={"google_auth_url": url, "google_token_url": url, "google_api_url": url}
        )
        yield made


async def pairs_of_one_grant(
    at: Place, model: GoogleModel, ann: Account, *names: str
) -> tuple[list[str], list[str]]:
    """The sources and the targets of somebody's pairs, which are all read with one grant."""
    grant = await consent(at, ann)
    ends: tuple[list[str], list[str]] = ([], [])
    for name in names:
        for side, calendars in zip("ab", ends, strict=True):
            calendar = model.make_calendar(ann, f"{name} {side}")
            await at.connect(
                grant, f"conn_{name}_{side}", calendar_id=calendar, calendar_key=calendar, grant_hash=grant
            )
            calendars.append(calendar)
        await at.pair(name, f"conn_{name}_a", f"conn_{name}_b", direction="a_to_b", due_at=None)
    return ends


def meeting(title: str) -> dict[str, object]:
    """An hour's event in the days to come."""
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    times = {
        name: {"dateTime": moment.isoformat(), "timeZone": "Europe/Berlin"}
        for name, moment in (("start", start), ("end", start + timedelta(hours=1)))
    }
    return {"summary": title, **times}


def refreshes(model: GoogleModel) -> int:
    return sum(call.method == "oauth.token" for call in model.seen)


@pytest.mark.rule(25)
async def test_a_grant_that_google_has_ended_is_told_of(at: Place, google_model: GoogleModel) -> None:
    """keeper.sh #984: Google answered `invalid_grant`, every job of the account failed, each minute, and nothing
    that a person sees said that the account had to be connected again: it only looked as if nothing was synced.
    """
    row = {
        "id": "whk_a",
        "url_encrypted": b"sealed",
        "secret_encrypted": b"sealed",
        "events": ["connection.expired"],
        "format": "event",
        "only_changed": False,
        "status": "enabled",
        "created_at": at.clock(),
        **at.tenant.values(),
    }
    async with at.db.write() as db:
        await db.execute(insert(webhooks).values(**row))
    ann = google_model.account()
    (own,), (team,) = await pairs_of_one_grant(at, google_model, ann, "team")
    google_model.put(own, meeting("Dentist"))
    async with process(at) as made:
        assert (await run(at, made, "team")).status == "success"
        ann.rotate()
        ann.revoke()
        for _ in range(4):
            report = await run(at, made, "team")
            assert report.status == "failed"
            assert report.error.code == "not_authorized"
        asked = refreshes(google_model)
        assert (await run(at, made, "team")).status == "failed"
        assert refreshes(google_model) == asked, "a dead grant is not asked about again"
    async with at.db.read() as db:
        shown = {each.id: each for each in (await db.execute(select(connections))).all()}
        logged = (await db.execute(select(runs.c.status).where(runs.c.pair_id == "team"))).scalars().all()
        told = (await db.execute(select(webhook_events))).all()
    assert shown["conn_team_a"].status == "expired"
    assert "onnect" in shown["conn_team_a"].last_error_message, "it says what to do"
    assert logged.count("failed") == 5
    expired = [each for each in shown.values() if each.status == "expired"]
    assert len(told) == len(expired), "one word for each connection, not one for each run"
    assert len(google_model.events(team)) == 1


class OneUse(OAuthServer):
    """Refresh tokens are good for one use; access tokens are those that somebody has at the model of Google."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self.account, self.person = account, account.email

    def _tokens(self, family: Any) -> dict[str, Any]:
        return {**super()._tokens(family), "access_token": self.account.rotate()}


@pytest.mark.rule(25)
async def test_processes_that_need_a_token_at_once_refresh_it_once(
    quick_folder: Path, google_model: GoogleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """keeper.sh #363: every job that found an access token run out refreshed it for itself, and wrote back what it
    got over what another had got. Now one coordinates them.
    """
    names = ("one", "two", "three", "four")
    held, looks = Fault("held"), Counter[str]()
    load = refreshing.store.load_grant

    async def looking(db: Any, grant_id: str) -> Any:
        """Lets the first answer go once others have looked whether there are new tokens."""
        looks[grant_id] += 1
        if looks[grant_id] > 5:
            held.go.set()
        return await load(db, grant_id)

    async with AsyncExitStack() as stack:
        server = OneUse(google_model.account())
        await stack.enter_async_context(server.running())
        at = await stack.enter_async_context(place(server, database(quick_folder)))
        at.settings = at.settings.model_copy(update={"google_api_url": google_model.url})
        sources, targets = await pairs_of_one_grant(at, google_model, server.account, *names)
        for source in sources:
            google_model.put(source, meeting("Dentist"))
        crew = [await stack.enter_async_context(process(at)) for _ in range(2)]
        server.account.rotate()
        server.faults.append(held)
        monkeypatch.setattr(refreshing.store, "load_grant", looking)
        # Of four at once each process has its own; these are in one.
        monkeypatch.setattr(session, "LIMIT", replace(session.LIMIT, at_once=4 * len(crew)))
        # One process may have taken up all of them: then no other one looks.
        asyncio.get_running_loop().call_later(3.0, held.go.set)
        running = [run(at, crew[number % 2], name) for number, name in enumerate(names)]
        reports = await asyncio.gather(*running)
        assert [report.status for report in reports] == ["success"] * 4
        assert list(server.spent.values()) == [1]
        assert [len(google_model.events(target)) for target in targets] == [1] * 4
        async with at.db.read() as db:
            statuses = (await db.execute(select(connections.c.status))).scalars().all()
        assert set(statuses) == {"active"}
