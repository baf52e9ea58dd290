"""A model of Microsoft Graph's calendars, as a server in a thread or in the foreground."""

from __future__ import annotations

import asyncio
import secrets
import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

from aiohttp import web

from . import writing
from .contract import Contract
from .faults import Faults
from .habits import Habits
from .ids import event_id, find
from .notices import Notice
from .server import Server
from .service import Service
from .state import SCOPES, Event, Grant, Mail, Mailbox, Seen, World
from .subscriptions import Lifecycle, Subscription
from .zones import parse

HOST = "127.0.0.1"
DEFAULT_TOKEN = "test-token"
DEFAULT_EMAIL = "alice@example.com"


@dataclass
class Account:
    """Somebody with a mailbox, as a test knows them. `calendar_id`: the default calendar's."""

    token: str
    email: str
    id: str
    calendar_id: str


class Model:
    """The service, and the strings that a test can pull."""

    def __init__(self, port: int = 0) -> None:
        self.world = World()
        self.contract = Contract()
        self.service = Service(self.world, self.contract)
        self.server = Server(self.service)
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None

    # Running

    def start(self) -> Self:
        """Serves from a thread of its own, with a loop of its own."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        if not ready.wait(60):
            raise TimeoutError("the model of Microsoft Graph did not start")
        return self

    def stop(self) -> None:
        assert self._loop is not None
        assert self._stopping is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(60)

    def wait(self) -> None:
        """Returns when the server ends."""
        assert self._thread is not None
        self._thread.join()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(self.server.application(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, HOST, self._port)
        await site.start()
        self._port = runner.addresses[0][1]
        ready.set()
        await self._stopping.wait()
        await runner.cleanup()

    def reset(self) -> None:
        """Nothing seen, nothing ordered, usual habits; people and calendars stay."""
        with self.world.lock:
            for seen in (self.violations, self.seen, self.mails, self.notices):
                seen.clear()
            self.faults.clear()
            self.subscriptions.clear()
            self.world.habits = Habits()
            self.world.ahead = timedelta(0)
            self.latency = 0.0
            self.drop_notices(0)

    @property
    def url(self) -> str:
        """The address without a path; Graph's own is https://graph.microsoft.com."""
        return f"http://{HOST}:{self._port}"

    @property
    def checked(self) -> bool:
        """Whether requests and answers are checked against the schema of Graph's types."""
        return self.contract.checked

    # What it saw

    @property
    def violations(self) -> list[str]:
        return self.world.violations

    @property
    def seen(self) -> list[Seen]:
        return self.world.seen

    @property
    def mails(self) -> list[Mail]:
        return self.world.mails

    @property
    def notices(self) -> list[Notice]:
        return self.service.notifier.sent

    @property
    def subscriptions(self) -> dict[str, Subscription]:
        return self.service.subscriptions.active

    def peak(self, account: Account) -> int:
        """The most requests that were at work on a mailbox at a time; a batch counts up to four."""
        return self.service.throttle.peak[account.email]

    def busy(self, account: Account) -> int:
        """How many requests are at work on a mailbox right now, counted like `peak`."""
        return self.service.throttle.busy(account.email)

    # Who is there

    def account(
        self, email: str | None = None, *, token: str | None = None, scopes: frozenset[str] = SCOPES
    ) -> Account:
        """A fresh person with a mailbox, a default calendar and a token of their own."""
        with self.world.lock:
            mailbox = Mailbox(email or f"ann-{secrets.token_hex(4)}@example.com")
            calendar = self.world.add_mailbox(mailbox)
            grant = Grant(token or secrets.token_urlsafe(24), mailbox, scopes)
            self.world.grants.append(grant)
            return Account(grant.token, mailbox.email, mailbox.id, calendar.id)

    def application(self, *, scopes: frozenset[str] = SCOPES) -> str:
        """A token of an application's own: it reaches every mailbox under /users, and has no /me."""
        grant = Grant(secrets.token_urlsafe(24), None, scopes)
        self.world.grants.append(grant)
        return grant.token

    def make_calendar(self, account: Account, name: str, timezone: str | None = None) -> str:
        """Its id. A zone is the whole mailbox's, for Graph's calendars have none of their own."""
        with self.world.lock:
            mailbox = self.world.mailbox(account.id)
            mailbox.timezone = timezone or mailbox.timezone
            return self.world.add_calendar(mailbox, name).id

    def share(self, calendar_id: str, account: Account, *, can_edit: bool) -> None:
        self.world.calendars[calendar_id].shared[account.email] = can_edit

    def unshare(self, calendar_id: str, account: Account) -> None:
        del self.world.calendars[calendar_id].shared[account.email]

    def set_read_only(self, calendar_id: str, *, read_only: bool = True) -> None:
        self.world.calendars[calendar_id].read_only = read_only

    def remove_calendar(self, calendar_id: str) -> None:
        del self.world.calendars[calendar_id]

    def set_licensed(self, account: Account, *, licensed: bool) -> None:
        self.world.mailbox(account.id).licensed = licensed

    # What goes wrong

    @property
    def faults(self) -> Faults:
        return self.world.faults

    @property
    def habits(self) -> Habits:
        return self.world.habits

    @habits.setter
    def habits(self, habits: Habits) -> None:
        self.world.habits = habits

    def revoke(self, account: Account) -> None:
        """The account's token is worth nothing from now on."""
        self.world.grant(account.token).revoked = True

    def rotate(self, account: Account) -> str:
        """The account's token is replaced by another, which is given."""
        grant = self.world.grant(account.token)
        grant.token = account.token = secrets.token_urlsafe(24)
        return grant.token

    def narrow(self, account: Account, scopes: frozenset[str]) -> None:
        self.world.grant(account.token).scopes = scopes

    def forget_delta_tokens(self) -> None:
        """Every delta and skip token is answered as `Habits.lost_token` says."""
        self.service.tokens.forget()

    def pass_time(self, time: timedelta) -> None:
        self.world.ahead += time

    def lifecycle(self, subscription_id: str, event: Lifecycle) -> None:
        self.service.subscriptions.lifecycle(subscription_id, event)

    def drop_notices(self, count: int) -> None:
        self.service.notifier.drop = count

    @property
    def latency(self) -> float:
        return self.server.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self.server.latency = seconds

    # What only Exchange itself writes

    def place(self, calendar_id: str, body: dict[str, Any], **forced: Any) -> str:
        """An event as it comes by other ways than Graph, such as an invitation; its immutable id.

        `body` as for a create. `forced` is answered whatever was written: isOrganizer, responseStatus, organizer,
        iCalUId, isCancelled, originalStartTimeZone. With `type="exception"` it is an instance whose series is not
        there, as somebody has it who was invited to one instance alone.
        """
        with self.world.lock:
            calendar = self.world.calendars[calendar_id]
            start, end = parse(body["start"], "start"), parse(body["end"], "end")
            event = Event(calendar, start, end, writing.fields(body), self.world.now(), forced=forced)
            if body.get("recurrence"):
                writing.set_recurrence(event, body["recurrence"])
            if forced.get("type") == "exception":
                nowhere = event_id(replace(event, key=secrets.token_urlsafe(24)), immutable=True)
                event.forced.setdefault("seriesMasterId", nowhere)
            self.world.add(event)
            return event_id(event, immutable=True)

    def force(self, named: str, **forced: Any) -> None:
        """Changes what `place` had forced, as the organizer's side or an answer of the owner's does.

        `named` may be one instance of a series, which is an exception then.
        """
        with self.world.lock:
            view = find(self.world, named)
            if view.day is None:
                view.event.forced |= forced
            else:
                writing.update(self.world, view, {})
                view.event.exceptions[view.day].forced |= forced
            self.world.touch(view.event, "updated")

    def move(self, named: str, calendar_id: str) -> None:
        """Somebody drags an event to another calendar of the mailbox: its usual id changes, the immutable not."""
        with self.world.lock:
            event = find(self.world, named).event
            old, new = event.calendar, self.world.calendars[calendar_id]
            self.world.remove(event)
            old.deleted.remove(event)
            old.deleted.append(replace(event))
            event.calendar = new
            self.world.add(event)


def serve(port: int, token: str = DEFAULT_TOKEN) -> None:
    """Serves until it is interrupted: one person, `alice@example.com`, with the token."""
    model = Model(port)
    model.account(DEFAULT_EMAIL, token=token)
    model.start()
    if not model.checked:
        print("The schema in ../shared is not there: nothing is checked against it.")
    print(f"Microsoft Graph's calendars at {model.url}/v1.0", flush=True)
    model.wait()
