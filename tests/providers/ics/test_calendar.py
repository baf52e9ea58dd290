"""A feed as a calendar, over HTTP: the contract of all calendars, and whatever feeds do beside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.origin import copy_id, write_mark
from calendarsync.net import ConnectFailed, HttpClient, Response
from calendarsync.providers.base import (
    Batch,
    CalendarNotFound,
    Forbidden,
    NotACalendar,
    NotAuthorized,
    ProviderError,
    RateLimited,
    Unavailable,
    Unreachable,
)
from calendarsync.providers.ics import FeedAddress, IcsCalendar, find_feed
from tests.providers.contract import Mirror, ReadingContract, copy_of
from tests.testbed.events import vcalendar, vevent
from tests.testbed.feed import FeedServer
from tests.testbed.installation import Clock

FINGERPRINTER = Fingerprinter(b"k" * 32)


def opened(client: HttpClient, url: str, clock: Clock) -> IcsCalendar:
    return IcsCalendar(client, FeedAddress.parse(url), fingerprinter=FINGERPRINTER, now=clock)


class Publisher:
    """Somebody who publishes a feed."""

    def __init__(self, feed: FeedServer) -> None:
        self.feed = feed
        self.numbers = itertools.count()

    async def add(self, title: str) -> str:
        uid = f"uid-{next(self.numbers)}"
        self.feed.events[uid] = vevent(uid, title=title)
        return uid

    async def fill(self, count: int) -> None:
        for number in range(count):
            await self.add(f"Event {number}")

    async def edit(self, resource_id: str, title: str) -> None:
        self.feed.events[resource_id] = vevent(resource_id, title=title)

    async def remove(self, resource_id: str) -> None:
        del self.feed.events[resource_id]


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def calendar(client: HttpClient, feed: FeedServer, clock: Clock) -> IcsCalendar:
    return opened(client, feed.url, clock)


@pytest.fixture
def mirror(calendar: IcsCalendar) -> Mirror:
    return Mirror(calendar)


class TestFeed(ReadingContract):
    @pytest.fixture
    def person(self, feed: FeedServer) -> Publisher:
        return Publisher(feed)

    async def test_the_last_event_removed_is_noticed(  # type: ignore[override]
        self, mirror: Mirror, person: Publisher, clock: Clock
    ) -> None:
        """Once the feed has come empty for an hour: until then it counts as unchanged."""
        only = await person.add("Only one")
        await mirror.refresh()
        await person.remove(only)
        for _ in range(6):
            again = await mirror.refresh()
            assert again.nothing
            assert again.reading.listed is None
            clock.advance(minutes=10)
        clock.advance(seconds=1)
        assert (await mirror.refresh()).removed == {only}
        assert (await mirror.refresh()).nothing


class TestFeedWithoutValidators(TestFeed):
    @pytest.fixture(autouse=True)
    def _plain(self, feed: FeedServer) -> None:
        feed.validators = False


async def test_an_unchanged_feed_is_not_sent_again(feed: FeedServer, mirror: Mirror, clock: Clock) -> None:
    feed.events["a"] = vevent("a")
    await mirror.refresh()
    await mirror.refresh()
    assert feed.answers == [200, 200, 304]
    clock.advance(hours=25)
    await mirror.refresh()
    assert feed.answers[-1] == 200, "once a day the server is not asked whether, but what"


async def test_last_modified_is_a_validator_too(feed: FeedServer, mirror: Mirror) -> None:
    feed.validators = False
    feed.headers["Last-Modified"] = "Sun, 01 Mar 2026 00:00:00 GMT"
    feed.events["a"] = vevent("a")
    await mirror.refresh()
    await mirror.refresh()
    assert "If-Modified-Since" not in feed.asked[1]
    assert feed.asked[2]["If-Modified-Since"] == "Sun, 01 Mar 2026 00:00:00 GMT"


@pytest.mark.parametrize("validators", [True, False])
async def test_a_feed_with_new_uids_and_stamps_at_every_reading_does_not_change(
    feed: FeedServer, mirror: Mirror, *, validators: bool
) -> None:
    feed.validators = validators
    readings = itertools.count()

    def render() -> str:
        number = next(readings)
        events = [vevent(f"{number}-{day}", f"2026030{day}T090000", None) for day in (3, 4, 5)]
        return vcalendar(*events).replace("DTSTAMP:20260101", f"DTSTAMP:202602{number + 10}")

    feed.render = render
    first = await mirror.refresh()
    assert len(first.changed) == 3
    for _ in range(5):
        again = await mirror.refresh()
        assert again.nothing
        assert again.reading.listed == set(mirror.resources)


async def test_ids_of_a_feed_with_new_uids_at_every_reading_outlive_the_database(
    feed: FeedServer, mirror: Mirror, client: HttpClient, clock: Clock
) -> None:
    readings = itertools.count()
    days = (3, 4, 5)

    def render() -> str:
        number = next(readings)
        return vcalendar(*(vevent(f"{number}-{day}", f"2026030{day}T090000", None) for day in days))

    feed.render = render
    await mirror.refresh()
    days = (3, 4, 5, 6)
    await mirror.refresh()
    anew = Mirror(opened(client, feed.url, clock))
    await anew.refresh()
    assert set(anew.resources) == set(mirror.resources)
    assert len(anew.resources) == 4


async def test_a_copy_in_a_feed_is_no_source(feed: FeedServer, mirror: Mirror) -> None:
    """The feed may show a calendar that somebody's CalendarSync writes to; Google's strip our mark."""
    identifier = copy_id("0123456789" * 4, "some calendar", 0)
    for uid in (identifier, f"{identifier}@google.com", "an-event"):
        feed.events[uid] = vevent(uid)
    await mirror.refresh()
    assert set(mirror.resources) == {"an-event"}


BREAKS: dict[str, Callable[[FeedServer], None]] = {
    "web page": lambda feed: setattr(feed, "render", lambda: "<!DOCTYPE html><html>Sign in</html>"),
    "nothing": lambda feed: setattr(feed, "render", lambda: ""),
    "a message": lambda feed: setattr(feed, "render", lambda: "Rate limit exceeded"),
    "half, and says so": lambda feed: setattr(feed, "send_bytes", 900),
    "half": lambda feed: (setattr(feed, "send_bytes", 900), setattr(feed, "content_length", False))[0],  # type: ignore[func-returns-value]
    "no body": lambda feed: setattr(feed, "status", 204),
    "gone": lambda feed: setattr(feed, "status", 410),
    "not found": lambda feed: setattr(feed, "status", 404),
    "forbidden": lambda feed: setattr(feed, "status", 403),
    "broken": lambda feed: setattr(feed, "status", 500),
    "too many": lambda feed: setattr(feed, "status", 429),
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS.keys())
async def test_whatever_is_no_whole_feed_deletes_nothing(
    feed: FeedServer, mirror: Mirror, client: HttpClient, clock: Clock, broken: Callable[[FeedServer], None]
) -> None:
    for number in range(6):
        feed.events[f"e{number}"] = vevent(f"e{number}", title=f"Event {number}")
    await mirror.refresh()
    before = dict(mirror.resources)
    feed.events["e0"] = vevent("e0", title="Changed")
    broken(feed)
    for cursor in (mirror.cursor, None):
        mirror.cursor = cursor
        with pytest.raises(ProviderError) as caught:
            await mirror.refresh()
        assert "secret-token" not in str(caught.value)
    assert mirror.resources == before

    feed.render, feed.send_bytes, feed.status = None, None, 200
    again = await mirror.refresh()
    assert set(again.changed) == {"e0"}
    assert again.removed == set()


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (401, {}, Forbidden),
        (403, {}, Forbidden),
        (403, {"Retry-After": "60"}, RateLimited),
        (404, {}, CalendarNotFound),
        (410, {}, CalendarNotFound),
        (418, {}, NotACalendar),
        (204, {}, NotACalendar),
        (429, {}, RateLimited),
        (500, {}, Unavailable),
        (503, {}, Unavailable),
        (503, {"Retry-After": "120"}, RateLimited),
        (304, {}, Unreachable),
    ],
)
async def test_what_a_status_means(
    feed: FeedServer, mirror: Mirror, status: int, headers: dict[str, str], expected: type[ProviderError]
) -> None:
    feed.status, feed.headers = status, headers
    with pytest.raises(expected) as caught:
        await mirror.refresh()
    if "Retry-After" in headers:
        assert caught.value.retry_after == float(headers["Retry-After"])


async def test_a_password_in_the_address_is_sent_as_one(
    client: HttpClient, feed: FeedServer, clock: Clock
) -> None:
    calendar = opened(client, feed.url.replace("http://", "http://al%40ice:p%3Aw@"), clock)
    await Mirror(calendar).refresh()
    assert feed.asked[-1]["Authorization"] == "Basic YWxAaWNlOnA6dw=="
    feed.status = 401
    with pytest.raises(NotAuthorized):
        await Mirror(calendar).refresh()


async def test_a_calendar_without_events_is_believed_at_first_sight(feed: FeedServer, mirror: Mirror) -> None:
    first = await mirror.refresh()
    assert first.reading.listed == frozenset()


async def test_a_feed_that_is_full_again_was_never_empty(
    feed: FeedServer, mirror: Mirror, clock: Clock
) -> None:
    feed.events["a"] = vevent("a")
    await mirror.refresh()
    for _ in range(5):
        event = feed.events.pop("a")
        assert (await mirror.refresh()).nothing
        clock.advance(minutes=50)
        feed.events["a"] = event
        assert (await mirror.refresh()).nothing
        clock.advance(minutes=50)


async def test_a_full_reading_does_not_believe_an_empty_feed_either(feed: FeedServer, mirror: Mirror) -> None:
    feed.events["a"] = vevent("a")
    await mirror.refresh()
    feed.events.clear()
    mirror.cursor = None
    assert (await mirror.refresh()).nothing


async def test_contents_cost_no_request_after_a_reading_and_one_without(
    feed: FeedServer, mirror: Mirror, client: HttpClient, clock: Clock
) -> None:
    feed.events["a"] = vevent("a", title="Standup")
    await mirror.refresh()
    assert [event.contents[""].title for event in await mirror.calendar.fetch(["a", "a", "gone"])] == [
        "Standup"
    ]
    assert mirror.calendar.requests == 2

    later = Mirror(opened(client, feed.url, clock), mirror.cursor, mirror.resources)
    await later.refresh()
    (fetched,) = await later.calendar.fetch(["a"])
    assert fetched == mirror.resources["a"]
    assert later.calendar.requests == 2
    assert feed.answers[-2:] == [304, 200]


async def test_contents_are_found_under_the_ids_of_the_index_when_the_uids_changed(
    feed: FeedServer, mirror: Mirror, client: HttpClient, clock: Clock
) -> None:
    feed.events["a"] = vevent("a")
    await mirror.refresh()
    later = Mirror(opened(client, feed.url, clock), mirror.cursor, mirror.resources)
    await later.refresh()
    assert feed.answers[-1] == 304
    feed.events = {"b": vevent("b")}
    (fetched,) = await later.calendar.fetch(["a"])
    assert (fetched.id, fetched.uid) == ("a", "b")


async def test_nothing_is_written(calendar: IcsCalendar) -> None:
    for writing in (
        calendar.create(copy_of()),
        calendar.update("a", None, copy_of()),
        calendar.delete("a", None),
        calendar.unmark("a", None),
    ):
        with pytest.raises(Forbidden, match="only be read"):
            await writing
    assert calendar.requests == 0


async def test_a_feed_of_another_version_of_the_program_is_read_again(
    feed: FeedServer, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.events["a"] = vevent("a")
    await mirror.refresh()
    monkeypatch.setattr("calendarsync.providers.ics.cursor.__version__", "another")
    await mirror.refresh()
    assert feed.answers == [200, 200, 200, 200]


async def test_what_the_first_look_finds(client: HttpClient, feed: FeedServer, clock: Clock) -> None:
    head = "X-WR-CALNAME:Trips\r\nX-WR-TIMEZONE:Europe/Berlin\r\n"
    feed.render = lambda: vcalendar(vevent("a")).replace("VERSION:2.0\r\n", "VERSION:2.0\r\n" + head)
    found = await find_feed(client, feed.url, confined=False, now=clock)
    host = feed.url.split("/")[2]
    assert (found.calendar.id, found.calendar.name) == (f"http://{host}/…", "Trips")
    assert (found.calendar.read_only, found.calendar.timezone) == (True, "Europe/Berlin")


@pytest.mark.parametrize(
    ("url", "code", "asked"),
    [
        ("webcal://example.com/a.ics", "connection_refused", ["https", "http"]),
        ("webcal://example.com/a.ics", "tls_failed", ["https"]),
        ("webcal://example.com/a.ics", "connect_failed", ["https"]),
        ("webcals://example.com/a.ics", "connection_refused", ["https"]),
        ("https://example.com/a.ics", "connection_refused", ["https"]),
    ],
)
async def test_webcal_falls_back_to_http_only_where_nothing_listens_for_https(
    client: HttpClient, clock: Clock, monkeypatch: pytest.MonkeyPatch, url: str, code: str, asked: list[str]
) -> None:
    """Whoever can break TLS would get the address otherwise."""
    schemes = []

    async def nobody(_: HttpClient, method: str, url: str, **given: object) -> Response:
        schemes.append(url.split(":", maxsplit=1)[0])
        raise ConnectFailed(code, "nobody there")

    monkeypatch.setattr(HttpClient, "request", nobody)
    with pytest.raises(Unavailable):
        await find_feed(client, url, confined=False, now=clock)
    assert schemes == asked


async def test_an_unknown_address_is_asked_without_the_validators_of_the_old_one(
    client: HttpClient, feed: FeedServer, mirror: Mirror, clock: Clock
) -> None:
    feed.events["a"] = vevent("a")
    await mirror.refresh()
    moved = Mirror(opened(client, feed.url + "&moved", clock), mirror.cursor, mirror.resources)
    assert (await moved.refresh()).nothing
    assert feed.answers[-1] == 200
    await moved.refresh()
    assert feed.answers[-1] == 304


async def test_a_full_reading_asks_for_all_and_forgets_no_id(feed: FeedServer, mirror: Mirror) -> None:
    feed.events = {"a": vevent("a")}
    await mirror.refresh()
    feed.events = {"b": vevent("b")}
    await mirror.refresh()
    feed.events = {"b": vevent("b", title="Other")}
    again = await mirror.refresh(full=True)
    assert (set(again.changed), again.removed) == ({"a"}, set())
    await mirror.refresh(full=True)
    assert feed.answers[-2:] == [200, 200]


async def test_full_readings_do_not_prolong_the_doubt_about_an_empty_feed(
    feed: FeedServer, mirror: Mirror, clock: Clock
) -> None:
    feed.events["a"] = vevent("a")
    await mirror.refresh()
    feed.events.clear()
    for _ in range(3):
        assert (await mirror.refresh(full=True)).nothing
        clock.advance(minutes=25)
    assert (await mirror.refresh(full=True)).removed == {"a"}


async def test_a_clock_that_was_set_back_shortens_no_doubt(
    feed: FeedServer, mirror: Mirror, clock: Clock
) -> None:
    feed.events["a"] = vevent("a")
    await mirror.refresh()
    feed.events.clear()
    await mirror.refresh()
    clock.advance(hours=-5)
    assert (await mirror.refresh()).nothing


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
async def test_a_validator_that_cannot_be_sent_back_is_none(
    feed: FeedServer, mirror: Mirror, header: str
) -> None:
    feed.validators, feed.events["a"] = False, vevent("a")
    feed.headers[header] = '"caf\xe9"'
    for _ in range(3):
        await mirror.refresh()
    assert set(feed.answers) == {200}


async def test_a_marked_event_is_a_copy_whatever_its_uid(feed: FeedServer, mirror: Mirror) -> None:
    mark = write_mark(b"k" * 32, "0123456789" * 4, 0, FINGERPRINTER.of("written"), "some calendar")
    feed.events = {"a": vevent("a", extra=f"X-CALENDARSYNC-MARK:{mark}"), "b": vevent("b")}
    await mirror.refresh()
    assert set(mirror.resources) == {"b"}


async def test_only_the_operators_networks_are_reached_in_test_mode(client: HttpClient, clock: Clock) -> None:
    address = FeedAddress.parse("https://192.88.98.1/a.ics")
    confined = IcsCalendar(client, address, fingerprinter=FINGERPRINTER, now=clock, confined=True)
    with pytest.raises(Unreachable):
        await Mirror(confined).refresh()


async def test_a_feed_past_the_bounds_is_told_so(feed: FeedServer, mirror: Mirror) -> None:
    for body in ("BEGIN:VCALENDAR\n" + "X:y\n" * 500_001 + "END:VCALENDAR\n", "x" * (16 * 1024 * 1024 + 1)):
        feed.render = lambda body=body: body  # type: ignore[misc]
        with pytest.raises(Unreachable, match="too large"):
            await mirror.refresh()


async def test_the_owners_answers_are_read(client: HttpClient, feed: FeedServer, clock: Clock) -> None:
    feed.events["a"] = vevent("a", extra="ATTENDEE;PARTSTAT=DECLINED:mailto:alice@example.com")
    owner = frozenset({"alice@example.com"})
    address = FeedAddress.parse(feed.url)
    calendar = IcsCalendar(client, address, fingerprinter=FINGERPRINTER, now=clock, owner=owner)
    mirror = Mirror(calendar)
    await mirror.refresh()
    assert mirror.resources["a"].components[0].response == "declined"


async def test_a_feed_of_which_most_uids_stay_is_known_by_them(feed: FeedServer, mirror: Mirror) -> None:
    numbers = itertools.count()
    feed.render = lambda: vcalendar(
        vevent("a"), vevent("b", title="B"), vevent(f"{next(numbers)}", title="C")
    )
    await mirror.refresh()
    assert {"a", "b"} < set(mirror.resources)


async def test_batches_are_small(feed: FeedServer, calendar: IcsCalendar) -> None:
    for number in range(250):
        feed.events[str(number)] = vevent(str(number))
    sizes = []

    async def on_batch(batch: Batch) -> None:
        sizes.append(len(batch.changed))

    async def nothing() -> dict[str, str | None]:
        return {}

    await calendar.read(None, nothing, on_batch)
    assert sizes == [100, 100, 50]
