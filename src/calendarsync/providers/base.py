"""The one protocol that every provider's calendar follows, and the errors that it may raise.

ProviderError              code, and a message in our own words: never the provider's text
├── NotAuthorized          the credentials or the grant are dead (rule 25)
│   ├── MissingScope       the grant does not hold what is needed
│   └── AppForbidden       an organisation does not let its people use this installation
├── Forbidden              known, but not allowed: a read-only calendar, say
├── CalendarNotFound       the calendar, or the address, is not there
│   └── NoMailbox          the account has no mailbox: it has no licence for one
├── NotACalendar           an answer, but not that of a calendar server
├── RateLimited            slow down; `retry_after` in seconds, None where not told (rule 24)
├── Unavailable            the network, a time-out, a 5xx: may pass by itself
├── Unreachable            refused by our own safety: address, certificate, redirects, size
├── Changed                a conditional write found another version (rule 23)
├── IdTaken                a create found something at its id already (rule 3)
├── IdDead                 a create found its id used up by an event that was deleted (rule 3)
├── ResourceGone           the resource to update is no longer there
└── Refused                the provider refuses this one event (rule 22)
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

from calendarsync.domain.amendment import Change
from calendarsync.domain.copy import Copy
from calendarsync.domain.event import Resource
from calendarsync.domain.rules import Window

# JSON can say it, PostgreSQL does not store U+0000, and half a surrogate pair has no UTF-8 form.
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


class ProviderError(Exception):
    """`message` is our own wording and may be shown to users."""

    code: ClassVar[str] = "provider_error"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class NotAuthorized(ProviderError):
    code = "not_authorized"


class MissingScope(NotAuthorized):
    code = "missing_scope"


class AppForbidden(NotAuthorized):
    code = "app_forbidden"


class Forbidden(ProviderError):
    code = "provider_forbidden"


class CalendarNotFound(ProviderError):
    code = "calendar_not_found"


class NoMailbox(CalendarNotFound):
    code = "no_mailbox"


class NotACalendar(ProviderError):
    code = "not_a_calendar_server"


class RateLimited(ProviderError):
    """`of_project`: the whole project or application is to wait, and not this grant alone."""

    code = "provider_rate_limited"

    def __init__(self, message: str, *, retry_after: float | None = None, of_project: bool = False) -> None:
        super().__init__(message, retry_after=retry_after)
        self.of_project = of_project


class Unavailable(ProviderError):
    code = "provider_unavailable"


class Unreachable(ProviderError):
    code = "unreachable"


class Changed(ProviderError):
    code = "changed_meanwhile"


class IdTaken(ProviderError):
    code = "id_taken"


class IdDead(ProviderError):
    code = "id_dead"


class ResourceGone(ProviderError):
    code = "resource_gone"


class Refused(ProviderError):
    code = "refused_by_provider"


@dataclass(frozen=True, slots=True)
class DiscoveredCalendar:
    """`id` is the provider's own: for CalDAV the collection's URL. `timezone` is an IANA key or None.

    `primary`: it is the one that the account itself stands for (Google's `primary`, Graph's `isDefaultCalendar`).
    `name` is text that can be stored and shown, whatever whoever shares the calendar has called it.
    """

    id: str
    name: str
    read_only: bool
    timezone: str | None
    owner_addresses: tuple[str, ...] = ()
    primary: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", self.name))


@dataclass(frozen=True, slots=True)
class Channel:
    """A subscription to a calendar's changes. `remote_id` is the provider's own name for it, to end it by."""

    remote_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """A part of a reading: resources that are new or changed, and ids that the provider names as deleted."""

    changed: Sequence[Resource] = ()
    removed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """The end of a reading. `cursor` goes into the next one.

    `listed` holds every id that the calendar has, where all of it was listed: a known id that is missing
    from it is deleted, though the provider did not name it. None after a reading of changes alone.

    `covered` is the span of time that was read, where that is not all, and `doubted` are ids that the provider
    calls removed though they may only have left that span. A known id that is doubted, or missing from `listed`,
    is then deleted only if its last known times lie in the span and `fetch` does not find it (rule 26).
    """

    cursor: str | None
    listed: frozenset[str] | None
    covered: Window | None = None
    doubted: frozenset[str] = frozenset()


Known = Callable[[], Awaitable[Mapping[str, str | None]]]
"""Asks the index what it holds: id to version. It is asked before the first batch, and only where that matters."""


class Calendar(Protocol):
    """One calendar of one provider account, opened with its credentials.

    Resource ids are stable and compare equal for every spelling that the provider allows. Every method may
    raise NotAuthorized, Forbidden, CalendarNotFound, NotACalendar, RateLimited, Unavailable, Unreachable.
    """

    @property
    def requests(self) -> int:
        """HTTP requests made so far."""

    @property
    def batch_size(self) -> int:
        """How many writes are worth handing over at the same moment: they go in as few requests as can be."""

    async def read(
        self,
        cursor: str | None,
        known: Known,
        on_batch: Callable[[Batch], Awaitable[None]],
        *,
        full: bool = False,
    ) -> Reading:
        """Read what differs from what is `known`: since `cursor`, or all of it where that is None or with `full`.

        A cursor that the provider rejects leads to a full reading, not to an error (rule 26). A resource whose
        version equals the known one is not fetched. A resource that cannot be parsed comes with a `problem`.
        """

    async def fetch(self, ids: Sequence[str]) -> list[Resource]:
        """The resources that are there, in any order; an id that is gone is left out."""

    async def create(self, copy: Copy) -> Resource:
        """Write a new copy and return it as a later reading will show it.

        Raises IdTaken where something stands at its id or UID already; IdDead; Refused.
        """

    async def update(self, resource_id: str, version: str | None, copy: Copy) -> Resource:
        """Replace a copy that is at `version`. Raises Changed, ResourceGone, Refused."""

    async def delete(self, resource_id: str, version: str | None) -> None:
        """Delete a copy that is at `version`; one that is gone already counts as done. Raises Changed, Refused."""

    async def unmark(self, resource_id: str, version: str | None) -> Resource | None:
        """Take our property off a copy and leave all else; None where it is gone. Raises Changed, Refused."""

    async def amend(self, resource_id: str, version: str | None, changes: Sequence[Change]) -> Resource:
        """Change an event that is not ours and is at `version`: what is named, and nothing else (rule 17).

        Each component is named once. Nobody gets a mail. Raises Changed, ResourceGone; Refused where the provider
        or the form of the event does not allow it. Where each component takes a request of its own, single
        instances come before their series, and some of them may be written when an error is raised.
        """
