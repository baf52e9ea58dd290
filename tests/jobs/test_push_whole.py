"""A served CalendarSync and the models of Google and Microsoft, which really call it back (rule 27)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from calendarsync.store.tables import connections, runs
from tests.testbed.events import event
from tests.testbed.google import Model as GoogleModel
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.microsoft import Model as MicrosoftModel
from tests.testbed.microsoft_keeper import MicrosoftKeeper
from tests.testbed.pushed import Pushed, pushed

pytestmark = pytest.mark.rule(27)

PATIENCE_SECONDS = 90
Keeper = GoogleKeeper | MicrosoftKeeper


@dataclass
class Scene:
    """Somebody's two calendars at one provider, which are kept in step."""

    provider: str
    keeper: Keeper
    served: Pushed
    a: str
    b: str
    connections: tuple[str, str]
    pair: str

    def put(self, calendar: str, name: str) -> None:
        """An event of tomorrow."""
        start = datetime.now(UTC) + timedelta(days=1)
        times = (f"{start + timedelta(hours=hours):%Y%m%dT%H0000Z}" for hours in (0, 1))
        self.keeper.put(calendar, f"{name}.ics", event(name, *times, title=name))

    def until_copied(self, calendar: str, count: int) -> None:
        until(lambda: len(self.keeper.list(calendar)) == count)

    def channels(self) -> list[str]:
        model = self.keeper.model
        if isinstance(model, GoogleModel):
            return [channel.id for channel in model.channels]
        return list(model.subscriptions)

    def triggers(self) -> list[str]:
        return [row.trigger for row in self.served.rows(select(runs.c.trigger).order_by(runs.c.created_at))]


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def scene(request: pytest.FixtureRequest, database_url: str, *, poll_seconds: int) -> Iterator[Scene]:
    provider = request.param
    model: GoogleModel | MicrosoftModel = request.getfixturevalue(f"{provider}_model")
    keeper: Keeper = GoogleKeeper(model) if isinstance(model, GoogleModel) else MicrosoftKeeper(model)
    folder: Path = request.getfixturevalue("tmp_path")
    a, b = keeper.make_calendar(), keeper.make_calendar()
    with pushed(folder, database_url, {provider: model.url}, poll_seconds=poll_seconds) as served:
        ends = (
            served.connect(provider, keeper.account, a),
            served.connect(provider, keeper.account, b),
        )
        made = Scene(provider, keeper, served, a, b, ends, served.pair(*ends))
        until(lambda: len(made.channels()) == 2 and "push" in made.triggers())
        yield made


@pytest.fixture(params=["google", "microsoft"])
def polled_daily(request: pytest.FixtureRequest, database_url: str) -> Iterator[Scene]:
    """What is not told comes tomorrow."""
    with scene(request, database_url, poll_seconds=86_400) as made:
        yield made


@pytest.fixture(params=["google", "microsoft"])
def polled_often(request: pytest.FixtureRequest, quick_folder: Path) -> Iterator[Scene]:
    """At a slower pace, as both ends tell: every six seconds."""
    database_url = f"sqlite:///{quick_folder / 'calendarsync.sqlite3'}"
    with scene(request, database_url, poll_seconds=1) as made:
        yield made


def test_what_a_provider_tells_is_copied_both_ways(polled_daily: Scene) -> None:
    here = polled_daily
    here.put(here.a, "one")
    here.until_copied(here.b, 1)
    here.put(here.b, "two")
    here.until_copied(here.a, 2)
    assert here.triggers().count("schedule") == 1
    watched = select(connections.c.watched_until).where(connections.c.watched_until.is_not(None))
    assert len(here.served.rows(watched)) == 2

    here.served.switch(here.pair, "paused")
    until(lambda: here.channels() == [])
    here.put(here.a, "three")
    here.served.switch(here.pair, "active")
    here.until_copied(here.b, 3)


def test_what_is_not_told_is_found_by_polling(polled_often: Scene) -> None:
    here = polled_often
    model = here.keeper.model
    model.lose_notices(1) if isinstance(model, GoogleModel) else model.drop_notices(1)
    here.put(here.a, "one")
    here.until_copied(here.b, 1)


@pytest.mark.parametrize("polled_daily", ["microsoft"], indirect=True)
def test_a_subscription_is_renewed_when_microsoft_asks_for_it_and_made_anew_when_it_is_gone(
    polled_daily: Scene,
) -> None:
    here = polled_daily
    model = here.keeper.model
    assert isinstance(model, MicrosoftModel)
    first, second = here.channels()
    before = len([each for each in model.seen if each.method == "PATCH"])
    model.lifecycle(first, "reauthorizationRequired")
    until(lambda: len([each for each in model.seen if each.method == "PATCH"]) > before)
    assert here.channels() == [first, second]
    model.lifecycle(first, "subscriptionRemoved")
    until(lambda: len(here.channels()) == 2 and first not in here.channels())
    here.put(here.a, "one")
    here.until_copied(here.b, 1)
    here.put(here.b, "two")
    here.until_copied(here.a, 2)
