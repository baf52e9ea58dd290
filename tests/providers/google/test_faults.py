"""What Google's errors, and answers that do not arrive, mean to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from calendarsync.net import HttpClient
from calendarsync.providers.base import (
    AppForbidden,
    CalendarNotFound,
    Changed,
    Forbidden,
    IdDead,
    IdTaken,
    MissingScope,
    NotAuthorized,
    ProviderError,
    RateLimited,
    Refused,
    ResourceGone,
    Unavailable,
)
from calendarsync.providers.google import GoogleCalendar
from calendarsync.providers.google.writing import inserted
from tests.providers.contract import COPY_ID, MARK, Mirror, copy_of, id_of, title_of
from tests.providers.google.helpers import GooglePerson, opened
from tests.providers.tokens import GrantTokens
from tests.testbed.google import Account, Model

LIMITS = ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"]


class TestTokens:
    async def test_a_token_that_has_expired_is_replaced_once(
        self, client: HttpClient, google_model: Model, account: Account, calendar_id: str
    ) -> None:
        tokens = GrantTokens(account)
        calendar = opened(client, google_model, account, calendar_id, tokens=tokens)
        old = account.token
        account.rotate()
        await calendar.create(copy_of())
        assert tokens.asked == [None, old]
        assert calendar.requests == 2

    async def test_a_batch_goes_again_with_the_new_token(
        self, client: HttpClient, google_model: Model, account: Account, calendar_id: str
    ) -> None:
        calendar = opened(client, google_model, account, calendar_id)
        account.rotate()
        written = await asyncio.gather(*(calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(3)))
        assert len({each.id for each in written}) == 3
        assert calendar.requests == 2

    async def test_a_batch_that_is_answered_401_as_a_whole(
        self, google_model: Model, calendar: GoogleCalendar
    ) -> None:
        google_model.fail(401, method="batch")
        await asyncio.gather(*(calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(3)))
        assert calendar.requests == 2

    @pytest.mark.parametrize("count", [1, 2])
    async def test_a_grant_that_was_taken_back(
        self, account: Account, calendar: GoogleCalendar, count: int
    ) -> None:
        account.revoke()
        writes = [calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(count)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(result) for result in results] == [NotAuthorized] * count
        assert calendar.requests == 2


Ask = Callable[[GoogleCalendar], Awaitable[object]]


async def _list(calendar: GoogleCalendar) -> object:
    return await Mirror(calendar).refresh()


async def _fetch(calendar: GoogleCalendar) -> object:
    return await calendar.fetch([COPY_ID])


async def _create(calendar: GoogleCalendar) -> object:
    return await calendar.create(copy_of())


ALL = pytest.mark.parametrize("ask", [_list, _fetch, _create], ids=["list", "fetch", "create"])


class TestAccount:
    """Errors that say nothing of the event."""

    @ALL
    @pytest.mark.parametrize("reason", LIMITS)
    async def test_quotas(self, google_model: Model, calendar: GoogleCalendar, ask: Ask, reason: str) -> None:
        google_model.fail(403, reason=reason, method="events.*")
        with pytest.raises(RateLimited) as raised:
            await ask(calendar)
        assert raised.value.retry_after is None

    @ALL
    async def test_a_quota_with_a_time(self, google_model: Model, calendar: GoogleCalendar, ask: Ask) -> None:
        google_model.fail(429, retry_after=17, method="events.*")
        with pytest.raises(RateLimited) as raised:
            await ask(calendar)
        assert raised.value.retry_after == 17

    @ALL
    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    async def test_an_outage(
        self, google_model: Model, calendar: GoogleCalendar, ask: Ask, status: int
    ) -> None:
        google_model.fail(status, method="events.*")
        with pytest.raises(Unavailable):
            await ask(calendar)

    @ALL
    @pytest.mark.parametrize(
        ("reason", "error"),
        [
            ("accessNotConfigured", AppForbidden),
            ("domainPolicy", AppForbidden),
            ("insufficientPermissions", MissingScope),
        ],
    )
    async def test_what_the_app_may_not(
        self, google_model: Model, calendar: GoogleCalendar, ask: Ask, reason: str, error: type[ProviderError]
    ) -> None:
        google_model.fail(403, reason=reason, method="events.*")
        with pytest.raises(error) as raised:
            await ask(calendar)
        assert "Forbidden" not in raised.value.message, "Google's own words"

    @ALL
    async def test_a_grant_without_the_scope(
        self, account: Account, calendar: GoogleCalendar, ask: Ask
    ) -> None:
        account.restrict("calendar.calendarlist.readonly")
        with pytest.raises(MissingScope):
            await ask(calendar)

    @ALL
    async def test_an_answer_that_breaks_off(
        self, google_model: Model, calendar: GoogleCalendar, ask: Ask
    ) -> None:
        google_model.fail(torn=30, method="events.*")
        with pytest.raises(Unavailable):
            await ask(calendar)

    @ALL
    async def test_a_calendar_that_is_gone(
        self, google_model: Model, calendar: GoogleCalendar, calendar_id: str, ask: Ask
    ) -> None:
        google_model.remove_calendar(calendar_id)
        with pytest.raises(CalendarNotFound):
            await ask(calendar)


class TestCalendar:
    @pytest.fixture
    def theirs(self, client: HttpClient, google_model: Model, calendar_id: str) -> GoogleCalendar:
        """The calendar as somebody sees it who may only read."""
        reader = google_model.account()
        google_model.share(calendar_id, reader, "reader")
        return opened(client, google_model, reader, calendar_id)

    async def test_a_calendar_that_became_read_only(
        self, calendar: GoogleCalendar, theirs: GoogleCalendar, person: GooglePerson
    ) -> None:
        written = await calendar.create(copy_of())
        assert [each.id for each in await theirs.fetch([written.id])] == [written.id]
        with pytest.raises(Forbidden):
            await theirs.create(copy_of(id_of("other")))
        with pytest.raises(Forbidden):
            await theirs.update(written.id, written.version, copy_of(title="New"))
        with pytest.raises(Forbidden):
            await theirs.delete(written.id, written.version)

    async def test_a_bare_403_is_about_the_calendar_only_where_that_is_read_only(
        self, google_model: Model, calendar: GoogleCalendar, theirs: GoogleCalendar
    ) -> None:
        written = await calendar.create(copy_of())
        for each, error in ((calendar, Refused), (theirs, Forbidden)):
            google_model.fail(403, reason="forbidden", method="events.patch")
            with pytest.raises(error):
                await each.update(written.id, written.version, copy_of(title="New"))

    async def test_a_calendar_that_goes_while_it_is_written_to(
        self, google_model: Model, calendar: GoogleCalendar, calendar_id: str
    ) -> None:
        written = await calendar.create(copy_of())
        google_model.remove_calendar(calendar_id)
        with pytest.raises(CalendarNotFound):
            await calendar.update(written.id, written.version, copy_of(title="New"))
        with pytest.raises(CalendarNotFound):
            await calendar.unmark(written.id, written.version)


class TestIds:
    """Google never frees an id, and may not notice that one is taken."""

    async def test_the_id_of_a_deleted_event_is_dead(
        self, calendar: GoogleCalendar, person: GooglePerson
    ) -> None:
        written = await calendar.create(copy_of())
        await person.remove(written.id)
        with pytest.raises(IdDead):
            await calendar.create(copy_of())

    async def test_an_id_that_google_knows_and_does_not_show_is_dead_too(
        self, google_model: Model, calendar: GoogleCalendar
    ) -> None:
        google_model.fail(409, method="events.insert")
        with pytest.raises(IdDead):
            await calendar.create(copy_of())

    async def test_a_collision_that_is_not_noticed_comes_out_in_the_next_full_reading(
        self, google_model: Model, mirror: Mirror
    ) -> None:
        await mirror.calendar.create(copy_of(title="First"))
        await mirror.refresh()
        google_model.faults.collisions = 1
        mirror.note(await mirror.calendar.create(copy_of(title="Second")))
        await mirror.refresh(full=True)
        assert mirror.titles == {"First"}

    async def test_an_answer_that_shows_another_event_than_was_sent(
        self, calendar: GoogleCalendar, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "calendarsync.providers.google.series.inserted",
            lambda copy: inserted(replace(copy, mark="another mark")),
        )
        with pytest.raises(IdTaken):
            await calendar.create(copy_of())


class TestWrites:
    async def test_a_create_that_took_effect_unheard(self, google_model: Model, mirror: Mirror) -> None:
        google_model.fail(503, method="events.insert", after=True)
        with pytest.raises(Unavailable):
            await mirror.calendar.create(copy_of(title="First"))
        with pytest.raises(IdTaken):
            await mirror.calendar.create(copy_of(title="First"))
        await mirror.refresh()
        assert mirror.titles == {"First"}
        assert mirror.resources[COPY_ID].mark == MARK

    async def test_an_update_that_took_effect_unheard(self, google_model: Model, mirror: Mirror) -> None:
        written = await mirror.calendar.create(copy_of())
        google_model.fail(503, method="events.patch", after=True)
        with pytest.raises(Unavailable):
            await mirror.calendar.update(written.id, written.version, copy_of(title="New"))
        with pytest.raises(Changed):
            await mirror.calendar.update(written.id, written.version, copy_of(title="New"))

    async def test_a_delete_that_took_effect_unheard(self, google_model: Model, mirror: Mirror) -> None:
        written = await mirror.calendar.create(copy_of())
        google_model.fail(503, method="events.delete", after=True)
        with pytest.raises(Unavailable):
            await mirror.calendar.delete(written.id, written.version)
        await mirror.calendar.delete(written.id, written.version)

    async def test_writes_of_a_batch_fail_each_by_itself(
        self, google_model: Model, calendar: GoogleCalendar, person: GooglePerson
    ) -> None:
        google_model.fail(403, reason="rateLimitExceeded", method="events.insert", times=2)
        google_model.fail(400, method="events.insert")
        google_model.fail(500, method="events.insert")
        writes = (calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(10))
        results = await asyncio.gather(*writes, return_exceptions=True)
        errors = [type(result) for result in results if isinstance(result, BaseException)]
        assert errors == [RateLimited, RateLimited, Refused, Unavailable]
        assert len(person.events()) == 6

    async def test_a_batch_whose_answer_breaks_off_says_what_it_said(
        self, google_model: Model, calendar: GoogleCalendar
    ) -> None:
        google_model.fail(torn=4000, method="batch")
        writes = (calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(10))
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert {type(result) for result in results} == {Unavailable}
        again = (calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(10))
        results = await asyncio.gather(*again, return_exceptions=True)
        assert {type(result) for result in results} == {IdTaken}

    @pytest.mark.parametrize("status", [404, 410])
    async def test_an_event_that_google_has_forgotten(
        self, google_model: Model, calendar: GoogleCalendar, status: int
    ) -> None:
        written = await calendar.create(copy_of())
        google_model.fail(status, method="events.delete")
        await calendar.delete(written.id, written.version)
        google_model.fail(status, method="events.patch")
        with pytest.raises(ResourceGone):
            await calendar.update(written.id, written.version, copy_of())

    async def test_what_google_finds_invalid_is_refused_in_our_words(
        self, google_model: Model, calendar: GoogleCalendar
    ) -> None:
        google_model.fail(400, method="events.insert")
        with pytest.raises(Refused) as raised:
            await calendar.create(copy_of(title="canary-title"))
        assert "Bad Request" not in raised.value.message
        assert "canary" not in raised.value.message

    async def test_two_writers_at_once_conflict(self, google_model: Model, calendar: GoogleCalendar) -> None:
        written = await calendar.create(copy_of())
        google_model.fail(409, method="events.patch")
        with pytest.raises(Changed):
            await calendar.update(written.id, written.version, copy_of(title="New"))

    async def test_nobody_gets_an_e_mail(
        self, google_model: Model, calendar: GoogleCalendar, person: GooglePerson
    ) -> None:
        written = await calendar.create(copy_of())
        person.change(written.id, attendees=[{"email": "guest@example.org"}])
        (theirs,) = await calendar.fetch([written.id])
        changed = await calendar.update(theirs.id, theirs.version, copy_of(title="New"))
        unmarked = await calendar.unmark(changed.id, changed.version)
        assert unmarked is not None
        await calendar.delete(unmarked.id, unmarked.version)
        assert google_model.mails == []


class TestSyncTokens:
    @pytest.mark.parametrize("status", [410, 400])
    async def test_a_token_that_is_no_longer_good(
        self, google_model: Model, mirror: Mirror, person: GooglePerson, status: int
    ) -> None:
        kept, gone = await person.add("Standup"), await person.add("Lunch")
        await mirror.refresh()
        await person.remove(gone)
        google_model.fail(status, method="events.list")
        again = await mirror.refresh()
        assert again.reading.listed == {kept}
        assert (again.changed, again.removed) == ({}, {gone})
        assert again.requests == 2

    async def test_it_is_forgotten_by_google(
        self, google_model: Model, mirror: Mirror, person: GooglePerson, calendar_id: str
    ) -> None:
        await person.add("Standup")
        await mirror.refresh()
        google_model.forget_sync_tokens(calendar_id)
        again = await mirror.refresh()
        assert again.nothing
        assert again.reading.listed is not None

    async def test_it_ends_between_two_pages(
        self, google_model: Model, mirror: Mirror, person: GooglePerson
    ) -> None:
        google_model.habits.page_limit = 2
        await mirror.refresh()
        ids = [await person.add(f"Event {number}") for number in range(5)]
        google_model.fail(method="events.list")
        google_model.fail(410, method="events.list")
        again = await mirror.refresh()
        assert again.reading.listed == set(again.changed) == set(ids)

    async def test_a_listing_that_breaks_off_is_done_again(
        self, google_model: Model, mirror: Mirror, person: GooglePerson
    ) -> None:
        google_model.habits.page_limit = 2
        await mirror.refresh()
        ids = {await person.add(f"Event {number}") for number in range(5)}
        google_model.fail(method="events.list", times=2)
        google_model.fail(503, method="events.list")
        with pytest.raises(Unavailable):
            await mirror.refresh()
        assert set((await mirror.refresh()).changed) == ids


async def test_what_is_waited_for_by_nobody_hurts_nobody(calendar: GoogleCalendar) -> None:
    tasks = [asyncio.create_task(calendar.create(copy_of(id_of(f"copy{n}")))) for n in range(3)]
    for _ in range(3):
        await asyncio.sleep(0)  # the request is on its way, and no answer can be here yet
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert [title_of(each) for each in results[1:] if not isinstance(each, BaseException)] == ["Busy", "Busy"]
