"""What `calendarsync doctor` looks at. Nothing is changed, and no secret is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from urllib.parse import urlsplit

from calendarsync.grants import registrations
from calendarsync.grants.asking import ask
from calendarsync.grants.errors import GrantError
from calendarsync.jobs.pushing import ON, state_of_push
from calendarsync.net import HttpClient, NetError
from calendarsync.secrets import SecretError
from calendarsync.settings import PREFIX, Settings, backend_of, sqlite_path
from calendarsync.store.database import Database
from calendarsync.store.errors import DatabaseUnavailable, SchemaError
from calendarsync.store.grants import ACTIVE
from calendarsync.store.inspection import list_grants

MAX_CLOCK_SKEW = timedelta(seconds=60)
"""Providers take a few minutes; what is a minute off will be more tomorrow."""

_NO_TOKEN = "calendarsync-doctor"  # noqa: S105 - made to be refused
_TIMEOUT_SECONDS = 10.0
CALLBACK = "/connect/{provider}/callback"
API_PATHS = {
    "google": "/discovery/v1/apis/calendar/v3/rest",
    "microsoft": "/v1.0/$metadata",
}


class State(StrEnum):
    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` names what was looked at; `message` is a sentence for the person who runs the server."""

    about: str
    state: State
    message: str


async def examine(settings: Settings, http: HttpClient, now: Callable[[], datetime]) -> list[Finding]:
    """Everything, in the order in which it is best put right."""
    findings = [*await _database(settings), *_public_address(settings)]
    for provider in registrations.NAMES:
        findings += await _provider(settings, http, provider, now)
    return findings


async def _database(settings: Settings) -> list[Finding]:
    label = settings.database_label
    if backend_of(settings.database_url) == "sqlite" and not sqlite_path(settings.database_url).exists():
        return [Finding("database", State.NOTE, f"{label} is not there yet; the first start makes it.")]
    database = Database(settings.database_url)
    try:
        await database.ensure_schema()
        found = Finding("database", State.OK, label)
        return [found, *await _secret(settings, database), *await _grants(settings, database)]
    except (DatabaseUnavailable, SchemaError) as error:
        return [Finding("database", State.ERROR, str(error))]
    finally:
        await database.close()


async def _secret(settings: Settings, database: Database) -> list[Finding]:
    from calendarsync.accounts.installation import open_installation

    try:
        await open_installation(settings, database)
    except SecretError as error:
        return [Finding("secret key", State.ERROR, str(error))]
    return [Finding("secret key", State.OK, "It is the one that the database was made with.")]


async def _grants(settings: Settings, database: Database) -> list[Finding]:
    """How people's grants stand, and whether they hold what is needed."""
    async with database.read() as connection:
        rows = await list_grants(connection)
    findings = []
    for provider, name in registrations.NAMES.items():
        mine = [row for row in rows if row.provider == provider]
        if not mine:
            continue
        by_status = Counter(row.status for row in mine)
        told = ", ".join(f"{count} {status}" for status, count in sorted(by_status.items()))
        state = State.WARNING if by_status.keys() - {ACTIVE} else State.OK
        findings.append(Finding(f"{name}: grants", state, f"{told}."))
        if registrations.is_registered(settings, provider):
            registered = registrations.registration(settings, provider)
            lacking = ((row.id, registered.missing(row.scopes)) for row in mine)
            findings += [_lacks(name, grant_id, scopes) for grant_id, scopes in lacking if scopes]
    return findings


def _lacks(name: str, grant_id: str, scopes: Sequence[str]) -> Finding:
    text = f"{grant_id} lacks {', '.join(scopes)}; authorize its connections again."
    return Finding(f"{name}: scopes", State.ERROR, text)


def _public_address(settings: Settings) -> list[Finding]:
    url = settings.public_url
    findings = [
        Finding(f"redirect address, {name}", State.NOTE, url + CALLBACK.format(provider=provider))
        for provider, name in registrations.NAMES.items()
    ]
    pushed = state_of_push(settings)
    if pushed != ON:
        return [*findings, Finding("push", State.WARNING, f"{pushed[0].upper()}{pushed[1:]}.")]
    return [
        *findings,
        Finding("push", State.OK, f"Changes are told to {url}/push/google and /push/microsoft."),
    ]


async def _provider(
    settings: Settings, http: HttpClient, provider: str, now: Callable[[], datetime]
) -> list[Finding]:
    name = registrations.NAMES[provider]
    prefix = f"{PREFIX}{provider.upper()}"
    halves = {
        "google": (settings.google_client_id, settings.google_client_secret),
        "microsoft": (settings.microsoft_client_id, settings.microsoft_client_secret),
    }[provider]
    names = (f"{prefix}_CLIENT_ID", f"{prefix}_CLIENT_SECRET")
    missing = [setting for setting, half in zip(names, halves, strict=True) if half is None]
    if len(missing) == 1:
        return [Finding(name, State.ERROR, f"{missing[0]} is missing; the other half is set.")]
    api = {"google": settings.google_api_url, "microsoft": settings.microsoft_api_url}[provider]
    if missing:
        text = f"Not set up: see docs/guide/{provider}.md, then set {prefix}_CLIENT_ID and {prefix}_CLIENT_SECRET."
        return [Finding(name, State.NOTE, text)]
    checks: Sequence[Awaitable[list[Finding]]] = (
        _client(settings, http, provider, now),
        _api(http, name, api + API_PATHS[provider], now),
    )
    return [finding for check in checks for finding in await check]


async def _client(
    settings: Settings, http: HttpClient, provider: str, now: Callable[[], datetime]
) -> list[Finding]:
    """A refresh token that is none is refused in one way to a client that is known, and in another to others."""
    registered = registrations.registration(settings, provider)
    form = {
        "grant_type": "refresh_token",
        "client_id": registered.client_id,
        "client_secret": registered.client_secret,
        "refresh_token": _NO_TOKEN,
    }
    about = f"{registered.name}: client"
    try:
        await ask(http, registered.name, registered.token_url, form, use="refresh", now=now)
    except GrantError as error:
        if error.kind == "expired":
            return [Finding(about, State.OK, "The client id and the client secret are accepted.")]
        return [Finding(about, State.ERROR, error.message)]
    return [Finding(about, State.ERROR, "A token that is none was accepted: this is not the real service.")]


async def _api(http: HttpClient, name: str, url: str, now: Callable[[], datetime]) -> list[Finding]:
    try:
        answer = await http.request("GET", url, timeout_seconds=_TIMEOUT_SECONDS, beginning_only=True)
    except NetError as error:
        return [Finding(f"{name}: calendars", State.ERROR, error.message)]
    reached = Finding(f"{name}: calendars", State.OK, f"{urlsplit(url).netloc} is reached.")
    return [reached, _clock(name, answer.headers.get("Date", ""), now())]


def _clock(name: str, date: str, now: datetime) -> Finding:
    """RFC 9110 section 6.6.1."""
    try:
        skew = now - parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return Finding("clock", State.NOTE, f"{name} does not tell the time.")
    if abs(skew) > MAX_CLOCK_SKEW:
        side = "ahead of" if skew > timedelta() else "behind"
        seconds = round(abs(skew.total_seconds()))
        text = f"This machine is {seconds} s {side} {name}'s time; set its clock, or grants will be refused."
        return Finding("clock", State.ERROR, text)
    return Finding("clock", State.OK, f"Within {MAX_CLOCK_SKEW.seconds} s of {name}'s.")
