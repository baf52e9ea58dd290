"""People in front of their browsers, who are asked for access to their calendars."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from html import unescape
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from pydantic import SecretStr

from calendarsync.accounts.accounts import create_account
from calendarsync.accounts.scopes import Scope
from calendarsync.api.app import create_app
from calendarsync.api.services import services_for
from calendarsync.jobs.process import running
from calendarsync.settings import Settings
from tests.api.client import Answer, Client
from tests.api.world import FakeRunner, World, build, close
from tests.testbed.google import Model as GoogleModel
from tests.testbed.microsoft import Model as MicrosoftModel
from tests.testbed.microsoft.faults import Fault as GraphFault
from tests.testbed.oauth import CLIENT_ID, CLIENT_SECRET, OAuthServer

PUBLIC = "http://127.0.0.1:8000"
RETURN_URL = "https://app.example.com/connected?tenant=7"
AUTHORIZE = "/api/v1/connections/authorize"


class Consent(OAuthServer):
    """An authorization server whose access tokens are those that the models of the calendars know."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        """`tokens`: by the address of who grants."""
        super().__init__()
        self.known = tokens

    def _tokens(self, family: Any) -> dict[str, Any]:
        answer = super()._tokens(family)
        if "access_token" in answer and family.email in self.known:
            answer["access_token"] = self.known[family.email]
        return answer


@dataclass
class Browser:
    """Keeps cookies, and follows no redirect by itself."""

    world: World
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)

    async def get(self, url: str) -> Answer:
        return await self._ask("GET", url)

    async def post(self, url: str, fields: Sequence[tuple[str, str]]) -> Answer:
        return await self._ask("POST", url, urlencode(fields).encode())

    async def _ask(self, method: str, url: str, body: bytes | None = None) -> Answer:
        headers = [("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))]
        answer = await Client(self.world.app).request(
            method,
            url.removeprefix(PUBLIC),
            body,
            headers=headers if self.cookies else [],
            content_type="application/x-www-form-urlencoded",
        )
        for line in answer.headers.getlist("set-cookie"):
            self.set_cookies.append(line)
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        return answer

    async def submit(self, page: Answer, url: str, *more: tuple[str, str]) -> Answer:
        """The form on a page of ours, with what a person adds to it."""
        return await self.post(url, [("token", token_of(page)), *more])


@dataclass
class Person:
    """Somebody with calendars at a model of a provider."""

    email: str
    token: str
    api_url: str
    calendars: list[str]
    make_calendar: Callable[[str], str]
    fail_listing: Callable[[], None]
    """Calendars cannot be listed, once."""

    account: Any
    """As the model knows them."""


def at_google(model: GoogleModel) -> Person:
    ann, boss = model.account(), model.account()
    theirs = model.make_calendar(boss, "Board")
    model.share(theirs, ann, "reader")

    def make(name: str) -> str:
        return model.make_calendar(ann, name)

    def fail() -> None:
        model.fail(503, method="calendarList.list")

    return Person(ann.email, ann.token, model.url, [ann.email, make("Team"), theirs], make, fail, ann)


def at_microsoft(model: MicrosoftModel) -> Person:
    ann = model.account()

    def make(name: str) -> str:
        return model.make_calendar(ann, name)

    def fail() -> None:
        model.faults.order(GraphFault(503, path="/calendars"))

    read_only = make("Board")
    model.set_read_only(read_only)
    calendars = [ann.calendar_id, make("Team"), read_only]
    return Person(ann.email, ann.token, model.url, calendars, make, fail, ann)


@dataclass
class Asked:
    """An account that asks a person, who answers at the provider."""

    world: World
    provider: str
    server: Consent
    client: Client
    browser: Browser
    person: Person

    @property
    def calendars(self) -> list[str]:
        """Of the person: the main one, another, and one that is read-only."""
        return self.person.calendars

    async def ask(self, **more: Any) -> dict[str, Any]:
        answer = await self.client.post(AUTHORIZE, {"provider": self.provider, **more})
        assert answer.status == 200, answer.body
        link: dict[str, Any] = answer.json
        return link

    async def begin(self, link: Mapping[str, Any], browser: Browser | None = None) -> str:
        """Open the link and go on from it; the address of the provider that it leads to."""
        url, by = link["authorization_url"], browser or self.browser
        page = await by.get(url)
        assert page.status == 200, page.body
        answer = await by.submit(page, url)
        assert answer.status == 303, answer.body
        return answer.headers["location"]

    async def consent(self, provider_url: str) -> str:
        """What the person does at the provider; the address of ours that they are sent to."""
        async with httpx.AsyncClient() as http:
            answer = await http.get(provider_url)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def grant(self, link: Mapping[str, Any], browser: Browser | None = None) -> Answer:
        """All of it until the provider's answer has come back to us."""
        by = browser or self.browser
        return await by.get(await self.consent(await self.begin(link, by)))

    async def choices(self, link: Mapping[str, Any]) -> tuple[str, Answer]:
        """The address of the page with the calendars, and the page."""
        answer = await self.grant(link)
        assert answer.status == 303, answer.body
        url = answer.headers["location"]
        return url, await self.browser.get(url)

    async def pick(self, link: Mapping[str, Any], *calendars: str) -> Answer:
        url, page = await self.choices(link)
        assert page.status == 200, page.body
        picked = [("calendar", each) for each in calendars]
        return await self.browser.submit(page, url, *picked, ("do", "connect"))

    async def connections(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.client.get("/api/v1/connections")).json["connections"]
        return found


def registered_with(server: Consent, provider: str, person: Person) -> dict[str, Any]:
    """Settings of an installation whose providers are `server`, and the model of the person's calendars."""
    return {
        "google_client_id": CLIENT_ID,
        "google_client_secret": SecretStr(CLIENT_SECRET),
        "google_auth_url": server.url,
        "google_token_url": server.url,
        "microsoft_client_id": CLIENT_ID,
        "microsoft_client_secret": SecretStr(CLIENT_SECRET),
        "microsoft_auth_url": server.url,
        f"{provider}_api_url": person.api_url,
    }


@asynccontextmanager
async def asked(
    database_url: str, provider: str, person: Person, *, public_url: str = PUBLIC
) -> AsyncIterator[Asked]:
    """The person is signed in at the provider; the account has registered `RETURN_URL`."""
    async with Consent({person.email: person.token}).running() as server:
        world = await build(database_url, public_url=public_url, **registered_with(server, provider, person))
        server.now, server.person = lambda: world.clock[0], person.email
        client = await world.client(scopes=tuple(Scope))
        registered = await client.patch("/api/v1/account", {"return_urls": [RETURN_URL]})
        assert registered.status == 200, registered.body
        try:
            yield Asked(world, provider, server, client, Browser(world), person)
        finally:
            await world.services.grants.close()
            await close(world)


@asynccontextmanager
async def at_work(database_url: str, provider: str, person: Person) -> AsyncIterator[Asked]:
    """The same in a whole process, whose engine reads and writes the person's calendars."""
    async with Consent({person.email: person.token}).running() as server:
        settings = Settings(
            database_url=database_url,
            secret_key=SecretStr("a secret that only tests know and nobody else"),
            allowed_private_networks="127.0.0.0/8",  # type: ignore[arg-type] - parsed like the variable
            poll_interval_seconds=86_400,
            public_url=PUBLIC,
            **registered_with(server, provider, person),
        )
        server.person = person.email
        async with running(settings, schedule=True) as process:
            services = replace(services_for(process, settings), wait_seconds=60.0)
            now = process.db.now()
            account_id = await create_account(process.db, "you@example.com", now=now, plan="pro")
            world = World(create_app(services), services, FakeRunner(process.db), account_id, [now])
            client = await world.client(scopes=tuple(Scope))
            yield Asked(world, provider, server, client, Browser(world), person)


def token_of(page: Answer) -> str:
    """What the form of a page of ours holds."""
    (found,) = re.findall(r'name="token" value="([^"]+)"', page.body.decode())
    return unescape(found)


def listed(page: Answer) -> dict[str, str]:
    """The calendars that a page shows: by id, what stands in their line."""
    lines = re.findall(r'<div class="calendar">(.*?)</div>', page.body.decode(), re.DOTALL)
    return {unescape(re.findall(r'value="([^"]*)"', line)[0]): unescape(line) for line in lines}


def told(answer: Answer) -> dict[str, str]:
    """What the account's own page is told."""
    assert answer.status == 303, answer.body
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    return {name: value for name, (value,) in query.items()}
