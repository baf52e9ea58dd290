"""A grant's access tokens: one worker spends a refresh token, and no fault is taken for the grant's end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from calendarsync.grants import refreshing
from calendarsync.providers.base import (
    AppForbidden,
    MissingScope,
    NotAuthorized,
    ProviderError,
    RateLimited,
    Unavailable,
    Unreachable,
)
from calendarsync.secrets import Keyring
from tests.grants.conftest import Place
from tests.testbed.oauth import CLIENT_SECRET, Fault


async def failure(at: Place, grant: str, **more: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await at.tokens(grant).access_token(**more)
    return caught.value


async def regrant(at: Place, grant: str) -> None:
    """The same person grants access once more."""
    assert await at.granted() == grant
    await at.change(grant, leased_until=None)


@pytest.mark.parametrize("workers", [1, 2, 5])
async def test_many_who_need_a_token_at_once_spend_one_refresh_token(at: Place, workers: int) -> None:
    grant = await at.granted()
    crew = [at.worker() for _ in range(workers)]
    found = await asyncio.gather(*(each.tokens(grant).access_token() for each in crew for _ in range(4)))
    assert len(set(found)) == 1
    assert set(found) == at.server.issued
    assert list(at.server.spent.values()) == [1]
    assert (await at.row(grant))["generation"] == 2


async def test_each_refresh_token_of_a_long_chain_is_spent_once(at: Place) -> None:
    grant = await at.granted("microsoft")
    crew = [at.worker() for _ in range(3)]
    for _ in range(5):
        await asyncio.gather(*(each.tokens(grant).access_token() for each in crew))
        at.clock.advance(hours=2)
    assert len(at.server.issued) == 5
    assert set(at.server.spent.values()) == {1}


async def test_a_good_token_is_used_until_a_minute_before_its_end(here: Place) -> None:
    grant = await here.granted()
    first = await here.tokens(grant).access_token()
    here.clock.advance(minutes=58, seconds=59)
    assert await here.tokens(grant).access_token() == first
    assert await here.worker().tokens(grant).access_token() == first, "another process finds it"
    here.clock.advance(seconds=2)
    assert await here.tokens(grant).access_token() != first


async def test_a_provider_that_rotates_nothing_keeps_its_refresh_token(here: Place) -> None:
    here.server.rotates = False
    grant = await here.granted()
    for _ in range(3):
        await here.tokens(grant).access_token()
        here.clock.advance(hours=2)
    assert list(here.server.spent.values()) == [3]


async def test_a_token_that_was_rejected_is_replaced_and_once_for_all(at: Place) -> None:
    grant = await at.granted()
    one, other = at.worker().tokens(grant), at.worker().tokens(grant)
    bad = await one.access_token()
    assert await other.access_token() == bad
    good = await one.access_token(rejected=bad)
    assert good != bad
    assert await other.access_token(rejected=bad) == good
    assert await one.access_token() == good
    assert len(at.server.issued) == 2


@pytest.mark.parametrize(
    ("lasts", "seconds"),
    [("3600", 3540), (90, 45), (0, 0), (-5, 0), (None, 240), ("soon", 240), ("nan", 240), (10**400, 86_340)],
    ids=["text", "short", "none", "negative", "left out", "words", "not a number", "endless"],
)
async def test_how_long_a_token_lasts_is_taken_with_care(here: Place, lasts: object, seconds: int) -> None:
    here.server.lasts_seconds = lasts
    grant = await here.granted()
    first = await here.tokens(grant).access_token()
    here.clock.advance(seconds=max(seconds - 1, 0))
    assert (await here.tokens(grant).access_token() == first) == (seconds > 0)
    here.clock.advance(seconds=2)
    assert await here.tokens(grant).access_token() != first


async def test_the_end_of_a_grant_is_found_out_once(at: Place) -> None:
    grant = await at.granted()
    token = next(iter(at.server._families))
    at.server.revoke(token)
    error = await failure(at, grant)
    assert type(error) is NotAuthorized
    assert "Connect it anew" in error.message
    row = await at.row(grant)
    assert (row["status"], row["leased_until"], row["generation"]) == ("expired", None, 1)
    assert type(await failure(at, grant)) is NotAuthorized
    with pytest.raises(NotAuthorized):
        await at.worker().tokens(grant).access_token()
    assert len(at.server.asked) == 1, "a dead grant is not asked about again"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("before", 500), Unavailable),
        (Fault("before", 502, {"error": "invalid_grant"}), Unavailable),
        (Fault("before", 503, headers={"Retry-After": "30"}), Unavailable),
        (Fault("before", 429), RateLimited),
        (Fault("before", 403, headers={"Retry-After": "30"}), Unavailable),
        (Fault("before", 404), Unavailable),
        (Fault("before", 400), Unavailable),
        (Fault("before", 400, {"error": ["invalid_grant"]}), Unavailable),
        (Fault("before", 400, {"error": "temporarily_unavailable"}), Unavailable),
        (Fault("before", 400, {"error": "invalid_request"}), Unavailable),
        (Fault("before", 401, {"error": "invalid_client"}), Unavailable),
        (Fault("before", 400, {"error": "unauthorized_client"}), Unavailable),
        (
            Fault("before", 400, {"error": "invalid_grant", "error_codes": [90006]}),
            Unavailable,
        ),
        (Fault("before", 200), Unavailable),
    ],
    ids=lambda value: f"{value.status} {value.body.get('error', '')}" if isinstance(value, Fault) else None,
)
async def test_what_is_not_the_grants_end_leaves_it_as_it_was(
    here: Place, fault: Fault, kind: type[ProviderError]
) -> None:
    grant = await here.granted()
    here.server.faults.append(fault)
    error = await failure(here, grant)
    assert type(error) is kind
    assert error.retry_after == (30 if "Retry-After" in fault.headers else None)
    row = await here.row(grant)
    assert (row["status"], row["leased_until"], row["generation"]) == ("active", None, 1)
    await here.tokens(grant).access_token()
    assert set(here.server.spent.values()) == {1}


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        ({"error": "invalid_grant"}, NotAuthorized, "ended"),
        ({"error": "invalid_grant", "error_codes": [50173]}, NotAuthorized, "password"),
        ({"error": "interaction_required", "error_codes": [50076]}, NotAuthorized, "second proof"),
        ({"error": "invalid_grant", "error_subtype": "invalid_rapt"}, NotAuthorized, "from time to time"),
        ({"error": "invalid_grant", "error_codes": [53003]}, AppForbidden, "Conditional Access"),
        ({"error": "admin_policy_enforced"}, AppForbidden, "administrator"),
    ],
    ids=["withdrawn", "password", "second proof", "reauthentication", "conditional access", "policy"],
)
async def test_each_end_says_what_to_do(
    here: Place, body: dict[str, Any], kind: type[ProviderError], says: str
) -> None:
    grant = await here.granted("microsoft")
    here.server.faults.append(Fault("before", 400, body))
    error = await failure(here, grant)
    assert type(error) is kind
    assert says in error.message
    again = await failure(here, grant)
    assert type(again) is kind, "all calendars of a grant are told the same"
    assert "Microsoft" in again.message
    assert len(here.server.asked) == 1


async def test_a_permission_that_was_withdrawn_is_told(here: Place) -> None:
    grant = await here.granted()
    answer = {"access_token": "x", "token_type": "Bearer", "scope": "openid email"}
    here.server.faults.append(Fault("before", 200, answer))
    for _ in range(2):
        error = await failure(here, grant)
        assert type(error) is MissingScope
        assert "all boxes ticked" in error.message
    assert (await here.row(grant))["status"] == "missing_scope"


async def test_nobody_answers(here: Place) -> None:
    grant = await here.granted()
    url, here.server.url = here.server.url, "gone"
    settings = here.settings.model_copy(update={"google_token_url": "http://127.0.0.1:9"})
    here.grants._settings = settings
    assert type(await failure(here, grant)) is Unavailable
    here.grants._settings = here.settings
    await here.tokens(grant).access_token()
    here.server.url = url


async def test_a_registration_that_was_taken_out_of_the_settings_is_no_end(here: Place) -> None:
    grant = await here.granted()
    here.grants._settings = here.settings.model_copy(update={"google_client_id": None})
    error = await failure(here, grant)
    assert type(error) is Unavailable
    assert "CALENDARSYNC_GOOGLE_CLIENT_ID" in error.message
    assert (await here.row(grant))["status"] == "active"


async def test_tokens_of_a_secret_that_is_lost_are_no_end_either(here: Place) -> None:
    grant = await here.granted()
    sealed = Keyring([b"another secret of the same installation"]).encrypt(b"{}", grant)
    await here.change(grant, credentials_encrypted=sealed)
    assert type(await failure(here, grant)) is Unreachable
    assert (await here.row(grant))["status"] == "active"


async def test_a_grant_that_is_gone(here: Place) -> None:
    assert type(await failure(here, "grant_gone")) is NotAuthorized


async def test_who_waits_may_leave_the_refresh_goes_on(at: Place) -> None:
    grant = await at.granted()
    hold = Fault("held")
    at.server.faults.append(hold)
    waiting = [asyncio.create_task(at.tokens(grant).access_token()) for _ in range(3)]
    await at.server.was_asked.wait()
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    closing = asyncio.create_task(at.grants.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    hold.go.set()
    await closing
    assert (await at.row(grant))["generation"] == 2
    assert {await at.worker().tokens(grant).access_token()} == at.server.issued
    assert list(at.server.spent.values()) == [1]


async def test_who_comes_during_another_workers_refresh_waits_for_it(at: Place) -> None:
    grant = await at.granted()
    hold = Fault("held")
    at.server.faults.append(hold)
    first = asyncio.create_task(at.worker().tokens(grant).access_token())
    await at.server.was_asked.wait()
    second = asyncio.create_task(at.worker().tokens(grant).access_token())
    await asyncio.sleep(0.3)
    assert not second.done()
    hold.go.set()
    assert await first == await second
    assert len(at.server.asked) == 1


async def test_nobody_waits_for_ever(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "WAIT_SECONDS", 0.2)
    grant = await here.granted()
    await here.change(grant, leased_until=here.clock() + refreshing.LEASE)
    assert type(await failure(here, grant)) is Unavailable
    assert here.server.asked == []


async def test_the_lease_of_a_worker_that_died_lapses(at: Place) -> None:
    grant = await at.granted()
    await at.change(grant, leased_until=at.clock() + refreshing.LEASE)
    waiting = asyncio.create_task(at.tokens(grant).access_token())
    await asyncio.sleep(0.1)
    assert at.server.asked == []
    at.clock.advance(seconds=60)
    assert {await waiting} == at.server.issued


async def test_an_answer_that_comes_after_a_new_consent_counts_for_nothing(at: Place) -> None:
    grant = await at.granted()
    hold = Fault("held")
    at.server.faults.append(hold)
    waiting = asyncio.create_task(at.tokens(grant).access_token())
    await at.server.was_asked.wait()
    await regrant(at, grant)
    consented = await at.row(grant)
    hold.go.set()
    token = await waiting
    after = await at.row(grant)
    assert consented["generation"] == 2
    assert after["generation"] == 3, (
        "the new consent's refresh token was spent, for its access token had run out"
    )
    assert {token} < at.server.issued
    assert set(at.server.spent.values()) == {1}


async def test_the_death_of_earlier_tokens_does_not_end_a_new_consent(at: Place) -> None:
    grant = await at.granted()
    hold = Fault("held", 400, {"error": "invalid_grant"})
    at.server.faults.append(hold)
    waiting = asyncio.create_task(at.tokens(grant).access_token())
    await at.server.was_asked.wait()
    await regrant(at, grant)
    hold.go.set()
    assert await waiting in at.server.issued
    assert (await at.row(grant))["status"] == "active"


async def test_nothing_secret_is_told_whatever_happens(
    here: Place, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    grant = await here.granted()
    told = [repr(here.tokens(grant)), repr(here.grants), repr(here.settings)]
    for fault in (Fault("lost"), Fault("torn"), Fault("before", 400, {"error": "canary"}), Fault("before")):
        here.server.rotates = False
        here.server.faults.append(fault)
        error = await failure(here, grant)
        told += [repr(error), str(error), repr(error.__cause__), repr(error.__context__)]
    told.append(repr((await here.row(grant))["credentials_encrypted"]))
    told += [caplog.text, *capfd.readouterr()]
    secrets = {*here.server._families, *here.server.issued, CLIENT_SECRET, "canary"}
    assert [secret for secret in secrets if secret in "\n".join(told)] == []
