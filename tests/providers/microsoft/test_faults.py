"""What Graph's errors, and answers that do not arrive, mean to the engine."""

from __future__ import annotations

import asyncio

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
    NoMailbox,
    NotAuthorized,
    ProviderError,
    RateLimited,
    Refused,
    ResourceGone,
    Unavailable,
)
from calendarsync.providers.microsoft import MicrosoftCalendar
from tests.providers.contract import COPY_ID, Mirror, copy_of, id_of
from tests.providers.microsoft.helpers import GraphPerson, opened
from tests.providers.tokens import GrantTokens
from tests.testbed.microsoft import Account, Fault, Model


class TestTokens:
    async def test_a_token_that_has_expired_is_replaced_once(
        self, client: HttpClient, microsoft_model: Model, account: Account, calendar_id: str
    ) -> None:
        tokens = GrantTokens(account)
        calendar = opened(client, microsoft_model, account, calendar_id, tokens=tokens)
        old = account.token
        microsoft_model.rotate(account)
        await calendar.create(copy_of())
        assert [token for token in tokens.asked if token] == [old]
        assert calendar.requests == 2

    async def test_a_batch_goes_again_with_the_new_token(
        self, client: HttpClient, microsoft_model: Model, account: Account, calendar_id: str
    ) -> None:
        calendar = opened(client, microsoft_model, account, calendar_id)
        microsoft_model.rotate(account)
        written = await asyncio.gather(*(calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(3)))
        assert len({each.id for each in written}) == 3
        assert calendar.requests == 2

    async def test_a_batch_whose_parts_are_all_refused_for_the_token_goes_again(
        self, microsoft_model: Model, calendar: MicrosoftCalendar
    ) -> None:
        microsoft_model.faults.order(Fault(401, path="/events", times=3))
        await asyncio.gather(*(calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(3)))
        assert calendar.requests == 2

    async def test_a_grant_that_was_revoked(
        self, microsoft_model: Model, account: Account, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        microsoft_model.revoke(account)
        with pytest.raises(NotAuthorized):
            await mirror.refresh()
        outcomes = await asyncio.gather(
            *(calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(3)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {NotAuthorized}

    async def test_an_application_reaches_a_mailbox_by_its_name(
        self, client: HttpClient, microsoft_model: Model, account: Account, calendar_id: str
    ) -> None:
        """A token of an application's own has no `/me`."""
        tokens = GrantTokens(account, user=account.email)
        tokens.token = microsoft_model.application()
        calendar = opened(client, microsoft_model, account, calendar_id, tokens=tokens)
        written = await asyncio.gather(*(calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(2)))
        mirror = Mirror(calendar)
        await mirror.refresh()
        assert set(mirror.resources) == {each.id for each in written}
        assert {seen.path.split("/")[1] for seen in microsoft_model.seen} == {"users", "$batch"}


class TestAccess:
    async def test_an_application_that_was_not_allowed(
        self, client: HttpClient, microsoft_model: Model, account: Account, calendar_id: str
    ) -> None:
        tokens = GrantTokens(account, user=account.email)
        tokens.token = microsoft_model.application()
        calendar = opened(client, microsoft_model, account, calendar_id, tokens=tokens)
        microsoft_model.faults.order(Fault(403, code="Authorization_RequestDenied"))
        with pytest.raises(AppForbidden, match="administrator"):
            await Mirror(calendar).refresh()

    async def test_a_grant_without_the_needed_permission(
        self, microsoft_model: Model, mirror: Mirror
    ) -> None:
        microsoft_model.faults.order(Fault(403, code="Authorization_RequestDenied"))
        with pytest.raises(MissingScope, match="grant"):
            await mirror.refresh()

    async def test_a_calendar_that_became_read_only(
        self, microsoft_model: Model, calendar_id: str, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        microsoft_model.set_read_only(calendar_id)
        with pytest.raises(Forbidden):
            await calendar.create(copy_of())
        await mirror.refresh()

    async def test_a_calendar_that_was_unshared(
        self, client: HttpClient, microsoft_model: Model, account: Account, calendar_id: str
    ) -> None:
        other = microsoft_model.account()
        microsoft_model.share(calendar_id, other, can_edit=False)
        calendar = opened(client, microsoft_model, other, calendar_id)
        await Mirror(calendar).refresh()
        with pytest.raises(Forbidden):
            await calendar.create(copy_of())
        microsoft_model.unshare(calendar_id, other)
        with pytest.raises(CalendarNotFound):
            await Mirror(calendar).refresh()

    async def test_a_mailbox_without_a_licence(
        self, microsoft_model: Model, account: Account, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        microsoft_model.set_licensed(account, licensed=False)
        with pytest.raises(NoMailbox, match="licence"):
            await mirror.refresh()
        with pytest.raises(NoMailbox):
            await calendar.create(copy_of())

    async def test_a_calendar_that_is_gone(
        self, microsoft_model: Model, calendar_id: str, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        written = await calendar.create(copy_of())
        microsoft_model.remove_calendar(calendar_id)
        for call in (
            mirror.refresh(),
            calendar.create(copy_of(id_of("other"))),
            calendar.update(written.id, written.version, copy_of(hour=11)),
            calendar.delete(written.id, written.version),
            calendar.unmark(written.id, written.version),
        ):
            with pytest.raises(CalendarNotFound):
                await call


class TestLimits:
    async def test_a_request_to_slow_down(self, microsoft_model: Model, mirror: Mirror) -> None:
        microsoft_model.faults.order(Fault(429, retry_after=13))
        with pytest.raises(RateLimited) as error:
            await mirror.refresh()
        assert error.value.retry_after == 13

    async def test_in_a_batch_it_holds_for_some_writes_alone(
        self, microsoft_model: Model, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        microsoft_model.faults.order(Fault(429, method="POST", path="/events", retry_after=5, times=2))
        outcomes = await asyncio.gather(
            *(calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(5)), return_exceptions=True
        )
        limited = [outcome for outcome in outcomes if isinstance(outcome, RateLimited)]
        assert [error.retry_after for error in limited] == [5, 5]
        await mirror.refresh()
        assert len(mirror.resources) == 3

    async def test_a_batch_that_is_refused_as_a_whole(
        self, microsoft_model: Model, calendar: MicrosoftCalendar
    ) -> None:
        microsoft_model.faults.order(Fault(503, path="$batch", retry_after=9))
        outcomes = await asyncio.gather(
            *(calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(5)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {RateLimited}


class TestOutOfOrder:
    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    async def test_it_may_pass(self, microsoft_model: Model, mirror: Mirror, status: int) -> None:
        microsoft_model.faults.order(Fault(status))
        with pytest.raises(Unavailable):
            await mirror.refresh()
        await mirror.refresh()

    async def test_a_create_whose_answer_was_not_heard_is_repeated_without_a_twin(
        self, microsoft_model: Model, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        microsoft_model.faults.order(Fault(503, method="POST", path="/events", after=True))
        with pytest.raises(Unavailable):
            await calendar.create(copy_of())
        written = await calendar.create(copy_of())
        await mirror.refresh()
        assert mirror.resources == {written.id: written}

    async def test_a_batch_whose_answer_breaks_off_took_effect(
        self, microsoft_model: Model, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        microsoft_model.faults.order(Fault(path="$batch", torn=100))
        outcomes = await asyncio.gather(
            *(calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(3)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        await mirror.refresh()
        assert len(mirror.resources) == 3

    async def test_the_words_are_ours(self, microsoft_model: Model, mirror: Mirror) -> None:
        microsoft_model.faults.order(Fault(403))
        with pytest.raises(ProviderError) as error:
            await mirror.refresh()
        assert "credentials" not in error.value.message  # the service's own word in this case


class TestIds:
    async def test_the_id_of_a_deleted_copy_may_be_used_up(
        self, microsoft_model: Model, calendar: MicrosoftCalendar, person: GraphPerson
    ) -> None:
        microsoft_model.habits.transaction_after_delete = "refuse"
        written = await calendar.create(copy_of())
        await person.remove(written.id)
        with pytest.raises(IdDead):
            await calendar.create(copy_of())

    async def test_an_id_that_is_refused_though_its_event_is_there_is_taken(
        self, microsoft_model: Model, calendar: MicrosoftCalendar
    ) -> None:
        await calendar.create(copy_of())
        microsoft_model.faults.order(Fault(409, code="ErrorDuplicateTransactionId", method="POST"))
        with pytest.raises(IdTaken):
            await calendar.create(copy_of())

    async def test_an_id_whose_event_went_to_another_calendar_is_used_up_here(
        self, microsoft_model: Model, account: Account, calendar: MicrosoftCalendar
    ) -> None:
        written = await calendar.create(copy_of())
        microsoft_model.move(written.id, microsoft_model.make_calendar(account, "Other"))
        with pytest.raises(IdDead):
            await calendar.create(copy_of())
        microsoft_model.faults.order(Fault(409, code="ErrorDuplicateTransactionId", method="POST"))
        with pytest.raises(IdDead):
            await calendar.create(copy_of())

    async def test_a_copy_that_went_to_another_calendar_is_gone_from_this_one(
        self, microsoft_model: Model, account: Account, calendar: MicrosoftCalendar
    ) -> None:
        written = await calendar.create(copy_of())
        microsoft_model.move(written.id, microsoft_model.make_calendar(account, "Other"))
        with pytest.raises(ResourceGone):
            await calendar.update(written.id, written.version, copy_of(hour=11))
        assert await calendar.unmark(written.id, written.version) is None

    async def test_an_unmarked_copy_keeps_its_derived_uid(
        self, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        """The transactionId cannot be changed (resources/event)."""
        written = await calendar.create(copy_of())
        unmarked = await calendar.unmark(written.id, written.version)
        assert unmarked is not None
        await mirror.refresh()
        assert mirror.resources[written.id] == unmarked
        assert (unmarked.uid, unmarked.mark) == (COPY_ID, None)


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "code", "kind", "words"),
        [
            (400, "ErrorPropertyValidationFailure", Refused, "invalid"),
            (400, "ErrorSomethingNew", Refused, "refuses"),
            (400, "ErrorMessageSizeExceeded", Refused, "large"),
            (404, "ErrorItemNotFound", ResourceGone, "no longer"),
            (409, "ErrorIrresolvableConflict", Changed, "changed"),
        ],
    )
    async def test_what_a_write_may_be_answered(
        self,
        microsoft_model: Model,
        calendar: MicrosoftCalendar,
        status: int,
        code: str,
        kind: type[ProviderError],
        words: str,
    ) -> None:
        written = await calendar.create(copy_of())
        microsoft_model.faults.order(Fault(status, code=code, method="PATCH"))
        with pytest.raises(kind, match=words):
            await calendar.update(written.id, written.version, copy_of(hour=11))

    async def test_one_event_that_is_refused_holds_up_no_other(
        self, microsoft_model: Model, calendar: MicrosoftCalendar, mirror: Mirror
    ) -> None:
        microsoft_model.faults.order(Fault(400, method="POST", path="/events"))
        outcomes = await asyncio.gather(
            *(calendar.create(copy_of(id_of(f"copy{n}"))) for n in range(5)), return_exceptions=True
        )
        assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 1
        await mirror.refresh()
        assert len(mirror.resources) == 4
