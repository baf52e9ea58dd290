"""Each safeguard of the way to a grant, attacked."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from datetime import timedelta
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from calendarsync.accounts.keys import Mode
from calendarsync.accounts.scopes import Scope
from calendarsync.store.tables import authorizations, grants
from tests.api.client import Answer, Client
from tests.api.consenting import AUTHORIZE, RETURN_URL, Asked, Browser, asked, at_google, token_of, told
from tests.api.routes import check_error
from tests.testbed.google import Model as GoogleModel
from tests.testbed.stored import stored

ACCOUNT = "/api/v1/account"


async def statuses(at: Asked) -> list[str]:
    async with at.world.db.read() as connection:
        return list((await connection.execute(select(authorizations.c.status))).scalars())


async def nothing_came_of_it(at: Asked) -> None:
    async with at.world.db.read() as connection:
        assert (await connection.execute(select(grants))).all() == []
    assert {each["status"] for each in await at.connections()} == {"pending"}
    assert at.server.asked == []


def refused(answer: Answer, status: int, words: str) -> None:
    assert answer.status == status, answer.body
    assert words in answer.body.decode()
    assert "location" not in answer.headers


async def test_an_answer_in_another_browser_is_not_taken(at: Asked) -> None:
    """Login CSRF: the attacker begins, and has the victim's browser end it, or the other way round."""
    answer_url = await at.consent(await at.begin(await at.ask(return_url=RETURN_URL)))
    victim = Browser(at.world)
    refused(await victim.get(answer_url), 403, "Another browser")
    # One that has begun something else is another browser as well.
    await at.begin(await at.ask(), victim)
    refused(await victim.get(answer_url), 403, "Another browser")
    await nothing_came_of_it(at)
    # And the right one can still go on.
    assert (await at.browser.get(answer_url)).status == 303


async def test_a_cookie_from_before_the_beginning_is_worth_nothing(at: Asked) -> None:
    """Session fixation: whoever planted the cookie that the victim opened the link with does not share the rest."""
    link = await at.ask()
    await at.browser.get(link["authorization_url"])
    attacker = Browser(at.world, dict(at.browser.cookies))
    answer_url = await at.consent(await at.begin(link))
    refused(await attacker.get(answer_url), 403, "Another browser")
    refused(await attacker.get(link["authorization_url"]), 410, "has been used")
    await nothing_came_of_it(at)


async def test_a_form_that_is_not_ours_begins_nothing(at: Asked) -> None:
    """Another site's form comes without the cookie, for that is `SameSite=Lax`; and it cannot know the token."""
    link, other = await at.ask(), await at.ask()
    url = link["authorization_url"]
    page = await at.browser.get(url)
    elsewhere = Browser(at.world)
    theirs = await elsewhere.get(url)
    another = await at.browser.get(other["authorization_url"])
    for browser, token in [
        (Browser(at.world), token_of(page)),
        (elsewhere, token_of(page)),
        (at.browser, token_of(theirs)),
        (at.browser, token_of(another)),
        (at.browser, ""),
        (at.browser, "\xff"),
    ]:
        refused(await browser.post(url, [("token", token)]), 403, "out of date")
    refused(await at.browser.post(url, []), 403, "out of date")
    refused(await at.browser.post(url, [("token", token_of(page))] * 2), 403, "out of date")
    assert await statuses(at) == ["new", "new"]
    assert (await at.browser.submit(page, url)).status == 303


async def test_looking_at_a_link_uses_it_not(at: Asked) -> None:
    """Programs open links that are sent in messages, to preview and to check them."""
    link = await at.ask()
    for _ in range(3):
        assert (await Browser(at.world).get(link["authorization_url"])).status == 200
    assert await statuses(at) == ["new"]
    assert (await at.pick(link, at.calendars[0])).status == 200


async def test_a_link_that_was_stolen_is_good_in_one_browser(at: Asked) -> None:
    link = await at.ask()
    url, thief = link["authorization_url"], Browser(at.world)
    page = await thief.get(url)
    await at.begin(link)
    refused(await thief.submit(page, url), 410, "has been used")
    refused(await thief.get(url), 410, "has been used")
    await nothing_came_of_it(at)


async def test_of_two_browsers_that_begin_at_once_one_does(at: Asked) -> None:
    link = await at.ask()
    url = link["authorization_url"]
    browsers = [Browser(at.world) for _ in range(4)]
    pages = [await browser.get(url) for browser in browsers]
    answers = await asyncio.gather(
        *(browser.submit(page, url) for browser, page in zip(browsers, pages, strict=True))
    )
    assert sorted(answer.status for answer in answers) == [303, 410, 410, 410]


async def test_a_link_is_good_for_one_use(at: Asked) -> None:
    link = await at.ask()
    await at.pick(link, at.calendars[0])
    refused(await at.browser.get(link["authorization_url"]), 410, "has been used")
    refused(await at.browser.post(link["authorization_url"], [("token", "x")]), 410, "has been used")


async def test_a_state_that_is_made_up(at: Asked) -> None:
    answer_url = await at.consent(await at.begin(await at.ask()))
    query = parse_qs(urlsplit(answer_url).query)
    state, code = query["state"][0], query["code"][0]
    path = f"/connect/{at.provider}/callback"
    other = {"google": "microsoft", "microsoft": "google"}[at.provider]
    for url in (
        f"{path}?code={code}",
        f"{path}?code={code}&state=",
        f"{path}?code={code}&state={state[:-1]}",
        f"{path}?code={code}&state={state}x",
        f"{path}?code={code}&state={state.swapcase()}",
        f"{path}?code={code}&state={'0' * 43}",
        f"{path}?code={code}&state=%00",
        f"{path}?code={code}&state={state}&state={state}",
        f"{path}?code={code}&code={code}&state={state}",
        f"{path}?state={state}",
        f"{path}?error=&state={state}",
        f"/connect/{other}/callback?code={code}&state={state}",
        path,
    ):
        refused(await at.browser.get(url), 400, "We did not ask for this")
    await nothing_came_of_it(at)
    assert (await at.browser.get(answer_url)).status == 303


async def test_an_answer_is_taken_once(at: Asked) -> None:
    answer_url = await at.consent(await at.begin(await at.ask()))
    first = await at.browser.get(answer_url)
    assert first.status == 303
    again = await at.browser.get(answer_url)
    refused(again, 409, "taken already")
    assert first.headers["location"] in again.body.decode()  # who went back goes on from there
    denial = answer_url.replace("code=", "error=access_denied&x=")
    refused(await at.browser.get(denial), 409, "taken already")
    assert len(at.server.asked) == 1


async def test_of_answers_that_come_at_once_one_is_taken(at: Asked) -> None:
    answer_url = await at.consent(await at.begin(await at.ask()))
    answers = await asyncio.gather(*(at.browser.get(answer_url) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [303, 409, 409, 409, 409]
    assert len(at.server.asked) == 1


async def test_of_choices_that_come_at_once_one_counts(at: Asked) -> None:
    url, page = await at.choices(await at.ask(return_url=RETURN_URL))
    answers = await asyncio.gather(
        *(at.browser.submit(page, url, ("calendar", each), ("do", "connect")) for each in at.calendars)
    )
    assert {told(answer)["status"] for answer in answers} == {"active"}
    assert len(await at.connections()) == 1


async def test_another_persons_code_is_not_redeemed(at: Asked) -> None:
    """Code injection: the code of one authorization with the state of another; PKCE tells them apart."""
    attacker = Browser(at.world)
    theirs = parse_qs(urlsplit(await at.consent(await at.begin(await at.ask(), attacker))).query)
    answer_url = await at.consent(await at.begin(await at.ask()))
    mine = parse_qs(urlsplit(answer_url).query)
    answer = await at.browser.get(answer_url.replace(mine["code"][0], theirs["code"][0]))
    refused(answer, 400, "new link")
    async with at.world.db.read() as connection:
        assert (await connection.execute(select(grants))).all() == []


async def test_the_verifier_is_not_in_the_address(at: Asked) -> None:
    """RFC 7636: the provider sees a digest of it first, and it itself only from us."""
    provider_url = await at.begin(await at.ask())
    asked_for = {name: value for name, (value,) in parse_qs(urlsplit(provider_url).query).items()}
    assert asked_for["code_challenge_method"] == "S256"
    await at.browser.get(await at.consent(provider_url))
    verifier = at.server.asked[-1]["code_verifier"]
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert asked_for["code_challenge"] == digest
    assert verifier not in provider_url


async def test_beginning_again_makes_the_state_before_worthless(at: Asked) -> None:
    link = await at.ask()
    earlier = await at.consent(await at.begin(link))
    later = await at.consent(await at.begin(link))
    refused(await at.browser.get(earlier), 400, "We did not ask for this")
    assert (await at.browser.get(later)).status == 303


async def test_an_answer_that_comes_too_late(at: Asked) -> None:
    link = await at.ask()
    answer_url = await at.consent(await at.begin(link))
    at.world.tick(timedelta(minutes=15).total_seconds())
    refused(await at.browser.get(answer_url), 410, "has run out")
    await nothing_came_of_it(at)


async def test_a_choice_that_comes_too_late(at: Asked) -> None:
    url, page = await at.choices(await at.ask())
    at.world.tick(timedelta(minutes=15).total_seconds())
    refused(await at.browser.submit(page, url, ("calendar", at.calendars[0])), 410, "has run out")
    assert [each["status"] for each in await at.connections()] == ["pending"]


async def test_the_calendars_are_shown_to_the_same_browser_alone(at: Asked) -> None:
    url, page = await at.choices(await at.ask())
    thief = Browser(at.world)
    refused(await thief.get(url), 403, "Another browser")
    chosen = ("calendar", at.calendars[0])
    refused(await thief.submit(page, url, chosen), 403, "Another browser")
    await at.begin(await at.ask(), thief)
    refused(await thief.submit(page, url, chosen), 403, "Another browser")
    refused(await at.browser.post(url, [chosen]), 403, "out of date")
    for other in ("/connect/calendars/auth_0", "/connect/calendars/%00", f"{url}x"):
        assert (await at.browser.get(other)).status == 404
    assert {each["status"] for each in await at.connections()} == {"pending"}


async def test_a_calendar_with_a_name_that_is_no_text(at: Asked) -> None:
    """Whoever shares a calendar names it."""
    named = at.person.make_calendar("a\0b\ud800<script>")
    answer = await at.pick(await at.ask(), named)
    assert answer.status == 200, answer.body
    (row,) = await at.connections()
    assert row["calendar_name"] == "a\ufffdb\ufffd<script>"


@pytest.mark.parametrize("meant", ["strasse@example.com", "STRASSE@example.com"])
async def test_an_address_of_other_letters_is_another_persons(at: Asked, meant: str) -> None:
    at.server.person = "stra\N{LATIN SMALL LETTER SHARP S}e@example.com"
    answer = await at.grant(await at.ask(email=meant))
    refused(answer, 409, "another person")
    async with at.world.db.read() as connection:
        assert (await connection.execute(select(grants))).all() == []


async def test_nobody_is_sent_where_the_account_does_not_want_them(at: Asked) -> None:
    """Open redirect: an address counts only while it is registered."""
    link = await at.ask(return_url=RETURN_URL)
    await at.client.patch(ACCOUNT, {"return_urls": []})
    answer = await at.pick(link, at.calendars[0])
    assert answer.status == 200
    assert "location" not in answer.headers


async def test_an_address_is_gone_to_letter_by_letter(google: Asked) -> None:
    url = "https://app.example.com/a;b=c/%3B~'(d)*?e=%2F;f"
    await google.client.patch(ACCOUNT, {"return_urls": [url]})
    answer = await google.pick(await google.ask(return_url=url), google.calendars[0])
    assert answer.headers["location"].startswith(f"{url}&connection_id=")


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example.com/",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "javascript:alert(1)",
        "data:text/html,x",
        "//app.example.com/",
        "/connected",
        "app.example.com",
        "https:///connected",
        "https://you@app.example.com/",
        "https://app.example.com/#fragment",
        "https://app.example.com\\@evil.example.com/",
        "https://app.example.com/ x",
        "https://app.example.com/\r\nX: y",
        "https://app.example.com/\u202e",
        "https://[::1/",
        "http://[::1].evil.example.com/",
        "http://[::1];sandbox/",
        "http://[::1]evil.example.com:80/",
        "https://app.example.com;x/",
        "https://app.example.com:port/",
        "https://app.example.com:99999/",
        "",
        "https://app.example.com/" + "x" * 2000,
        7,
        None,
    ],
)
async def test_an_address_that_cannot_be_registered(google: Asked, url: object) -> None:
    answer = await google.client.patch(ACCOUNT, {"return_urls": [RETURN_URL, url]})
    assert (answer.status, answer.fields) == (422, {"return_urls.1"})
    assert (await google.client.get(ACCOUNT)).json["return_urls"] == [RETURN_URL]


async def test_what_can_be_registered(google: Asked) -> None:
    urls = ["https://app.example.com", "http://127.0.0.1:3000/x?y=z", "http://[::1]/", "http://localhost/"]
    answer = await google.client.patch(ACCOUNT, {"return_urls": [*urls, urls[0]]})
    assert (answer.status, answer.json["return_urls"]) == (200, urls)
    assert (await google.client.get(ACCOUNT)).json["return_urls"] == urls
    assert (await google.client.patch(ACCOUNT, {})).json["return_urls"] == urls
    too_many = [f"https://app.example.com/{number}" for number in range(21)]
    assert (await google.client.patch(ACCOUNT, {"return_urls": too_many})).fields == {"return_urls"}
    other = await google.world.client(account_id=await google.world.other_account())
    assert (await other.get(ACCOUNT)).json["return_urls"] == []


async def test_no_etag_is_that_of_the_account(google: Asked) -> None:
    seen = (await google.client.get(ACCOUNT)).headers["etag"]
    changes = {"return_urls": ["https://other.example.com/"]}
    answer = await google.client.patch(ACCOUNT, changes, headers=[("If-Match", seen)])
    check_error(answer, 412, "precondition_failed")
    assert (await google.client.get(ACCOUNT)).json["return_urls"] == [RETURN_URL]
    assert (await google.client.patch(ACCOUNT, changes, headers=[("If-Match", "*")])).status == 200


async def test_the_cookie_on_a_secure_server(database_url: str, google_model: GoogleModel) -> None:
    person = at_google(google_model)
    async with asked(database_url, "google", person, public_url="https://calendar.example.com") as at:
        link = (await at.ask())["authorization_url"].removeprefix("https://calendar.example.com")
        page = await at.browser.get(link)
        answer = await at.browser.submit(page, link)
        assert "redirect_uri=https%3A%2F%2Fcalendar.example.com%2F" in answer.headers["location"]
        assert len(at.browser.set_cookies) == 2
        for line in at.browser.set_cookies:
            ((name, morsel),) = SimpleCookie(line).items()
            assert name.startswith("__Host-")
            assert morsel["secure"]
            assert morsel["httponly"]
            assert (morsel["samesite"], morsel["path"], morsel["domain"]) == ("lax", "/", "")
            assert int(morsel["max-age"]) == 1800


async def test_the_cookie_without_tls(google: Asked) -> None:
    await google.begin(await google.ask())
    for line in google.browser.set_cookies:
        ((name, morsel),) = SimpleCookie(line).items()
        assert name.startswith("calendarsync-auth_")
        assert not morsel["secure"]
        assert morsel["httponly"]
        assert morsel["samesite"] == "lax"


async def test_no_secret_is_kept_or_logged(at: Asked, log: io.StringIO) -> None:
    link = await at.ask(return_url=RETURN_URL)
    provider_url = await at.begin(link)
    answer_url = await at.consent(provider_url)
    url = (await at.browser.get(answer_url)).headers["location"]
    page = await at.browser.get(url)
    await at.browser.submit(page, url, ("calendar", at.calendars[0]), ("do", "connect"))
    query = parse_qs(urlsplit(answer_url).query)
    verifier = at.server.asked[-1]["code_verifier"]
    secrets = [link["authorization_url"].rpartition("/")[2], query["state"][0], query["code"][0], verifier]
    secrets += [*at.browser.cookies.values(), at.person.token, token_of(page)]
    secrets += at.server.issued
    kept = (await stored(at.world.db, at.world.services.settings.database_url)).decode("latin-1")
    assert at.person.email in kept
    assert [each for each in secrets if each in kept] == []
    logged = "".join(
        line for line in log.getvalue().splitlines() if '"logger": "http' not in line
    )  # of the test
    assert '"operation": "pick"' in logged
    assert [each for each in [*secrets, "canary-"] if each in logged] == []


async def test_test_mode_asks_nobody(at: Asked) -> None:
    tester = await at.world.client(mode=Mode.TEST, scopes=tuple(Scope))
    for path, body in [
        ("connections/authorize", {"provider": at.provider}),
        ("connections", {"provider": at.provider, "delegated_user": "ann@example.com"}),
        ("connections/discover", {"provider": at.provider, "delegated_user": "ann@example.com"}),
    ]:
        check_error(await tester.post(f"/api/v1/{path}", body), 403, "forbidden")
    assert (await tester.get("/api/v1/connections")).json["connections"] == []


async def test_a_provider_that_the_server_is_not_registered_with(client: Client) -> None:
    for provider in ("google", "microsoft"):
        answer = await client.post(AUTHORIZE, {"provider": provider})
        assert (answer.status, answer.fields) == (422, {"provider"})
        assert f"CALENDARSYNC_{provider.upper()}_CLIENT_ID" in answer.error["message"]
    assert (await client.get("/api/v1/connections")).json["connections"] == []
