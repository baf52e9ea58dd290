"""Rule 8 where calendars live: texts and categories as each service gives them, and what a filter costs there."""

from __future__ import annotations

import pytest

from tests.sync.helpers import WEEKLY, done
from tests.sync.stories import stamp
from tests.sync.test_cost_table import counted, told
from tests.testbed.desk import Desk
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.microsoft_keeper import MicrosoftKeeper

pytestmark = pytest.mark.rule(8)

SOURCES = [(name, "radicale") for name in ("google", "microsoft", "radicale", "feed")]
every_source = pytest.mark.parametrize(
    "between", SOURCES, ids=[source for source, _ in SOURCES], indirect=True
)
ALL_IN_UTC = ["2026-03-04 08:00", "2026-03-11 08:00", "2026-03-18 18:00", "2026-03-25 08:00"]


def put_series(at: Desk) -> None:
    """Stand-ups on Wednesdays; on the second the title is another, and on the third the hour."""
    instances = [
        vevent(
            "s",
            stamp(day, hour),
            stamp(day, hour + 1),
            title=title,
            extra=f"RECURRENCE-ID;TZID=Europe/Berlin:{stamp(day)}",
        )
        for day, hour, title in ((11, 9, "Lunch"), (18, 19, "Stand-up"))
    ]
    at.put_a("s", vcalendar(vevent("s", title="Stand-up", extra=WEEKLY), *instances))


async def copied(at: Desk, pair: str, **options: object) -> list[str]:
    """When the copies begin, once the pair has these options."""
    await at.app.change_pair(pair, options=options)
    await at.app.sync(pair)
    assert (await at.app.sync(pair)).operations == (), "the second run writes nothing"
    return [start for start, _ in at.busy(at.b, copies=True)]


@pytest.mark.rule(13)
@every_source
async def test_instances_are_judged_by_the_texts_and_times_that_the_service_gives(between: Desk) -> None:
    at = between
    put_series(at)
    pair = await at.pair(direction="a_to_b", title_contains=["STAND"])
    first, second, third, fourth = ALL_IN_UTC
    assert await copied(at, pair, title_contains=["STAND"]) == [first, third, fourth]
    assert await copied(at, pair, title_contains=["lunch"]) == [second]
    assert await copied(at, pair, only_between={"from": "09:00", "to": "17:00"}) == [first, second, fourth]
    both = {"only_between": {"from": "09:00", "to": "17:00"}, "title_excludes": ["lunch"]}
    assert await copied(at, pair, **both) == [first, fourth]
    assert await copied(at, pair) == ALL_IN_UTC


@pytest.mark.parametrize("between", [("microsoft", "google")], ids=["microsoft"], indirect=True)
async def test_categories_at_microsoft(between: Desk) -> None:
    at = between
    keeper = at.keepers[at.a]
    assert isinstance(keeper, MicrosoftKeeper)
    times = {
        name: {"dateTime": f"2026-03-04T{hour}:00:00", "timeZone": "W. Europe Standard Time"}
        for name, hour in (("start", "09"), ("end", "10"))
    }
    wanted = keeper.model.place(at.a, {"subject": "a", "categories": ["Red", "Client"], **times})
    keeper.model.place(at.a, {"subject": "client", "categories": ["Clients"], **times})
    keeper.model.place(at.a, {"subject": "client", **times})
    pair = await at.pair(direction="a_to_b", categories=["CLIENT"])
    report = await at.app.sync(pair)
    assert [(each.event_id == wanted) for each in report.operations if each.action == "create"] == [True]
    assert done(report).count(("skip", "category_not_matching")) == 2
    keeper._ask("PATCH", f"/events/{wanted}", {"categories": ["Red"]})
    assert ("delete", "category_not_matching") in done(await at.app.sync(pair))


@pytest.mark.parametrize("between", [("google", "microsoft")], ids=["google"], indirect=True)
async def test_events_at_google_have_no_category(between: Desk) -> None:
    at = between
    assert isinstance(at.keepers[at.a], GoogleKeeper)
    at.put_a("one", event("one", title="Client", extra="CATEGORIES:Client"))
    pair = await at.pair(direction="a_to_b", categories=["client"])
    assert done(await at.app.sync(pair)) == [("skip", "category_not_matching")]


@pytest.mark.rule(15)
@every_source
async def test_a_filter_that_is_set_costs_one_listing_and_then_nothing(
    between: Desk, request: pytest.FixtureRequest
) -> None:
    at, services = between, request.node.callspec.params["between"]
    for number in range(120):
        day, hour = divmod(number, 20)
        title = "Stand-up" if number % 10 else "Lunch"
        at.put_a(
            f"{number}", event(f"uid-{number}", stamp(3 + day, hour), stamp(3 + day, hour + 1), title=title)
        )
    pair = await at.pair(direction="a_to_b", title_contains=["stand"])
    await at.app.sync(pair)
    await at.app.sync(pair)
    await at.app.change_pair(pair, options={"title_contains": ["stand", "nothing of this name"]})
    with counted(at) as sent:
        assert (await at.app.sync(pair)).operations == ()
    told("a filter by title over 120 events is set", services, sent)
    await at.app.change_pair(pair, quiet_until=None)
    with counted(at) as sent:
        await at.app.sync(pair)
    assert sent.requests == 2
