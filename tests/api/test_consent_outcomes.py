"""What goes wrong while a person grants access: each has its page, status and code, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from calendarsync.store.tables import grants
from tests.api.client import Answer
from tests.api.consenting import RETURN_URL, Asked, Browser, asked, at_microsoft, told
from tests.testbed.microsoft import Model as MicrosoftModel
from tests.testbed.oauth import Fault


def denied(at: Asked) -> None:
    at.server.refuses = {"error": "access_denied", "error_description": "canary-in-a-description"}


def forbidden(at: Asked) -> None:
    of_microsoft = {"error": "access_denied", "error_description": "AADSTS90094: canary-in-a-description"}
    at.server.refuses = {
        "google": {"error": "admin_policy_enforced"},
        "microsoft": of_microsoft,
    }[at.provider]


def used(at: Asked) -> None:
    body = {"error": "invalid_grant", "error_description": "canary-in-a-description"}
    at.server.faults.append(Fault("before", 400, body))


def box_not_ticked(at: Asked) -> None:
    at.server.grants_scopes = lambda asked: "openid email"


def for_this_moment_alone(at: Asked) -> None:
    at.server.leaves_out = {"refresh_token"}


def another_person(at: Asked) -> None:
    at.server.person = "mallory@example.com"


def wrong_secret(at: Asked) -> None:
    at.server.faults.append(Fault("before", 401, {"error": "invalid_client"}))


OUTCOMES = [
    (denied, 403, "consent_denied", "did not grant access"),
    (forbidden, 403, "app_forbidden", "administrator"),
    (used, 400, "code_used", "new link"),
    (box_not_ticked, 422, "missing_scope", "tick all boxes"),
    (for_this_moment_alone, 422, "missing_scope", "new link"),
    (another_person, 409, "wrong_identity", "choose the right account"),
    (wrong_secret, 502, "misconfigured", "client secret"),
]
every_outcome = pytest.mark.parametrize(
    ("arrange", "status", "code", "words"), OUTCOMES, ids=[each[0].__name__ for each in OUTCOMES]
)


async def left_behind(at: Asked) -> list[str]:
    """The statuses of connections, where there is no grant."""
    async with at.world.db.read() as connection:
        assert (await connection.execute(select(grants))).all() == []
    return [each["status"] for each in await at.connections()]


def no_canary(answer: Answer) -> None:
    assert "canary" not in answer.body.decode() + str(answer.headers)


@every_outcome
async def test_each_outcome_has_its_page(
    at: Asked, arrange: Callable[[Asked], None], status: int, code: str, words: str
) -> None:
    link = await at.ask(email=at.server.person)
    arrange(at)
    answer = await at.grant(link)
    assert answer.status == status, answer.body
    assert words in answer.body.decode()
    no_canary(answer)
    assert await left_behind(at) == ["pending"]
    assert (await at.browser.get(link["authorization_url"])).status == 410


@every_outcome
async def test_each_outcome_is_told_to_the_page_of_the_account(
    at: Asked, arrange: Callable[[Asked], None], status: int, code: str, words: str
) -> None:
    link = await at.ask(email=at.server.person, return_url=RETURN_URL)
    arrange(at)
    answer = await at.grant(link)
    no_canary(answer)
    assert told(answer) == {
        "tenant": "7",
        "connection_id": link["connection_id"],
        "status": "denied" if code == "consent_denied" else "failed",
        "code": code,
    }
    assert await left_behind(at) == ["pending"]


async def test_a_provider_that_cannot_answer_may_be_asked_once_more(at: Asked) -> None:
    link = await at.ask()
    at.server.faults.append(Fault("before", 503))
    answer = await at.grant(link)
    assert answer.status == 503
    assert "retry-after" in answer.headers
    assert f'href="{link["authorization_url"].removeprefix("http://127.0.0.1:8000")}"' in answer.body.decode()
    assert (await Browser(at.world).get(link["authorization_url"])).status == 410
    assert (await at.pick(link, at.calendars[0])).status == 200
    assert [each["status"] for each in await at.connections()] == ["active"]


async def test_calendars_that_cannot_be_listed_may_be_asked_for_once_more(at: Asked) -> None:
    answer = await at.grant(await at.ask(return_url=RETURN_URL))
    url = answer.headers["location"]
    at.person.fail_listing()
    page = await at.browser.get(url)
    assert page.status == 503
    assert f'href="{url}"' in page.body.decode()
    page = await at.browser.get(url)
    assert page.status == 200
    at.person.fail_listing()
    fields = ("calendar", at.calendars[0]), ("do", "connect")
    assert (await at.browser.submit(page, url, *fields)).status == 503
    assert told(await at.browser.submit(page, url, *fields))["status"] == "active"


async def test_a_mailbox_without_a_licence(database_url: str, microsoft_model: MicrosoftModel) -> None:
    person = at_microsoft(microsoft_model)
    microsoft_model.set_licensed(person.account, licensed=False)
    async with asked(database_url, "microsoft", person) as at:
        url = (await at.grant(await at.ask())).headers["location"]
        page = await at.browser.get(url)
        assert page.status == 422
        assert "has no mailbox" in page.body.decode()
        assert await left_behind(at) == ["pending"]
        assert (await at.browser.get(url)).status == 410


async def test_a_link_that_is_none(at: Asked) -> None:
    for link in ("nothing", "x" * 43, "0" * 43, "%00", "x" * 5000):
        for answer in (
            await at.browser.get(f"/connect/{link}"),
            await at.browser.post(f"/connect/{link}", [("token", "x")]),
        ):
            assert answer.status == 404
            assert "leads nowhere" in answer.body.decode()


async def test_a_link_that_has_run_out(at: Asked) -> None:
    link = await at.ask()
    page = await at.browser.get(link["authorization_url"])
    at.world.tick(timedelta(minutes=15).total_seconds())
    for answer in (
        await at.browser.get(link["authorization_url"]),
        await at.browser.submit(page, link["authorization_url"]),
    ):
        assert answer.status == 410
        assert "has run out" in answer.body.decode()


async def test_a_connection_that_was_deleted_meanwhile(at: Asked) -> None:
    link = await at.ask()
    begun = await at.consent(await at.begin(link))
    assert (await at.client.delete(f"/api/v1/connections/{link['connection_id']}")).status == 204
    assert (await at.browser.get(begun)).status == 400  # its authorization went with it
    link = await at.ask()
    url, page = await at.choices(link)
    assert (await at.client.delete(f"/api/v1/connections/{link['connection_id']}")).status == 204
    assert (await at.browser.submit(page, url, ("calendar", at.calendars[0]))).status == 404
    assert await at.connections() == []
