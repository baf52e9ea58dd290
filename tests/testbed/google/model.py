"""The model as tests use it: a server in a thread of its own, and a handle on what it remembers."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from . import errors, instances, times, values
from .channels import Channel, Notice
from .faults import Fault, Faults
from .rendering import render
from .server import Server
from .state import SCOPE, Calendar, Habits, Mail, Seen, User, World, new_id

DEFAULT_TOKEN = "test-token"
LEAST_SCOPES = ("calendar.events", "calendar.calendarlist.readonly")
DEFAULT_EMAIL = "ann@example.com"


@dataclass
class Account:
    """Somebody with a Google account of their own; `email` is the id of their primary calendar too."""

    _world: World
    _user: User

    @property
    def email(self) -> str:
        return self._user.email

    @property
    def token(self) -> str:
        """The access token that is good now."""
        return self._user.token

    @property
    def refresh_token(self) -> str:
        return self._user.refresh_token

    def rotate(self) -> str:
        """Another access token; those from before are answered 401 from now on."""
        with self._world.lock:
            self._user.tokens.clear()
            return self._user.new_token()

    def revoke(self) -> None:
        """The person takes the access back: each token is answered 401."""
        self._user.revoked = True

    def grant(self) -> None:
        """The person grants access again: the same tokens are good."""
        self._user.revoked = False

    def restrict(self, *scopes: str) -> None:
        """The grant has these scopes alone, whole or by their last part, such as `calendar.readonly`."""
        self._user.scopes = frozenset(each if "/" in each else SCOPE + each for each in scopes)


class Model:
    """A Google of one's own. State is shared with the server's thread and guarded by a lock."""

    def __init__(self) -> None:
        self._world = World()
        self._server = Server(self._world)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.url = ""
        self.owner = Account(self._world, self._world.add_user(DEFAULT_EMAIL, DEFAULT_TOKEN))

    def start(self) -> None:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._server.start(0), self._loop).result(30)
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def forget(self) -> None:
        """What was seen, sent and ordered, and all changed habits; people and their calendars stay."""
        with self._world.lock:
            self._world.forget()
            self._server.channels.forget()

    # What the model saw and did

    @property
    def violations(self) -> list[str]:
        """Where a request or an answer was not as Google describes it."""
        return self._world.violations

    @property
    def seen(self) -> list[Seen]:
        """The calls that were answered, in order; a batch comes after its parts, as `batch`."""
        return self._world.seen

    @property
    def mails(self) -> list[Mail]:
        """The e-mails that Google would have sent because of what clients wrote."""
        return self._world.mails

    @property
    def notices(self) -> list[Notice]:
        return self._server.channels.notices

    @property
    def channels(self) -> list[Channel]:
        """Those that are neither stopped nor seen to be expired."""
        return list(self._server.channels.open.values())

    # How it behaves

    @property
    def faults(self) -> Faults:
        return self._world.faults

    @property
    def habits(self) -> Habits:
        return self._world.habits

    def fail(self, status: int | None = None, **given: Any) -> Fault:
        """Order a fault for the next calls that match; see `Fault` for what may be given."""
        return self._world.faults.order(Fault(status, **given))

    def lose_notices(self, count: int) -> None:
        self._server.channels.lost = count

    def forget_sync_tokens(self, calendar_id: str) -> None:
        """Sync tokens of this calendar are answered 410 from now on."""
        with self._world.lock:
            self._world.calendars[calendar_id].epoch = new_id(8)

    def advance(self, by: timedelta) -> None:
        """Let time pass for the model: channels expire."""
        self._world.ahead += by

    # People and calendars

    def account(self, email: str | None = None) -> Account:
        """Somebody new, with a token of the least scopes and a primary calendar of their own."""
        with self._world.lock:
            email = (email or f"person-{new_id(10)}@example.com").lower()
            made = Account(self._world, self._world.add_user(email, f"ya29.{new_id(40)}"))
            made.restrict(*LEAST_SCOPES)
            return made

    def make_calendar(self, account: Account, name: str = "Work", timezone: str = "Europe/Berlin") -> str:
        """A fresh secondary calendar; its id."""
        with self._world.lock:
            return self._world.add_calendar(account._user, name, timezone).id

    def share(self, calendar_id: str, account: Account, role: str = "reader") -> None:
        """Let somebody else into a calendar: freeBusyReader, reader, writer or owner; it enters their list.

        Who may see what has changed, so sync tokens of the calendar are good no more (guide on syncing).
        """
        with self._world.lock:
            calendar = self._world.calendars[calendar_id]
            calendar.readers[account.email] = role
            calendar.epoch = new_id(8)
            self._world.list_for(account._user, calendar)

    def unshare(self, calendar_id: str, account: Account) -> None:
        with self._world.lock:
            calendar = self._world.calendars[calendar_id]
            del calendar.readers[account.email]
            calendar.epoch = new_id(8)
            self._world.unlist(account._user, calendar_id)

    def remove_calendar(self, calendar_id: str) -> None:
        with self._world.lock:
            self._world.remove_calendar(self._world.calendars[calendar_id])

    # Events, as if a person made them: no call, no e-mail

    def events(self, calendar_id: str, *, deleted: bool = False) -> dict[str, dict[str, Any]]:
        """The events of a calendar by id, series as masters and exceptions, rendered for its owner.

        Instances that are cancelled in a living series are among them, other deleted events where asked for.
        """
        with self._world.lock:
            calendar = self._world.calendars[calendar_id]
            return {
                entry.id: render(calendar, calendar.owner, entry)
                for entry in calendar.entries.values()
                if deleted
                or not instances.dead(calendar, entry)
                or instances.cancelled_instance(calendar, entry)
            }

    def put(self, calendar_id: str, event: dict[str, Any], event_id: str | None = None) -> dict[str, Any]:
        """Put an event into a calendar, or change the one with that id, whatever the API would say to it.

        So come events of types that cannot be created, invitations of strangers (`organizer`), and exceptions of
        series that the calendar does not have (`recurringEventId`, `originalStartTime`). A known event is patched.
        """
        with self._world.lock:
            calendar = self._world.calendars[calendar_id]
            event_id = event_id or event.get("id") or new_id()
            try:
                before = copy.deepcopy(instances.find(calendar, event_id).event)
            except errors.ApiError:
                before = _blank(calendar, event_id)
            given = {name: value for name, value in event.items() if name != "id"}
            kept = _in_form(calendar, values.merged(before, given))
            entry = self._world.put(calendar, event_id, kept)
            return render(calendar, calendar.owner, entry)

    def delete(self, calendar_id: str, event_id: str) -> None:
        """Delete an event, a series or one instance."""
        with self._world.lock:
            calendar = self._world.calendars[calendar_id]
            entry = instances.find(calendar, event_id)
            for exception in calendar.exceptions(entry.id):
                self._world.put(calendar, exception.id, exception.event)
            self._world.put(calendar, entry.id, entry.event | {"status": "cancelled"})


def _blank(calendar: Calendar, event_id: str) -> dict[str, Any]:
    organizer = {"email": calendar.id}
    uid = event_id.split("_", maxsplit=1)[0] if not event_id.startswith("_") else event_id
    return {
        "iCalUID": f"{uid}@google.com",
        "creator": {"email": calendar.owner.email},
        "organizer": organizer,
        "sequence": 0,
    }


def _in_form(calendar: Calendar, event: dict[str, Any]) -> dict[str, Any]:
    done = values.completed(calendar, event)
    if "originalStartTime" in done:
        done["originalStartTime"] = times.normal(done["originalStartTime"], calendar.timezone, "start")
    return done


@contextmanager
def running() -> Iterator[Model]:
    """A model that serves as long as the block."""
    model = Model()
    model.start()
    try:
        yield model
    finally:
        model.stop()
