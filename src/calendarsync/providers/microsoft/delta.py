"""Rounds of `calendarView/delta` over a span of time (event-delta, concepts/delta-query-events).

A deltaLink keeps the span that its first request named, so more is asked for than is needed; when the need has
moved past it, all is read again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from calendarsync.domain.rules import Window
from calendarsync.providers.base import CalendarNotFound, Unavailable
from calendarsync.providers.microsoft.failures import Answer, incomplete
from calendarsync.providers.microsoft.places import Places
from calendarsync.providers.microsoft.session import PREFER, GraphSession

PAGE_SIZE = 500
BEFORE = timedelta(days=1)
AHEAD = timedelta(days=35)
LONGEST = timedelta(days=1825)
"""The longest span that a calendar view takes (ErrorCalendarViewRangeTooBig; on no page of the reference)."""

_NEED_BEFORE, _NEED_AHEAD = timedelta(days=1), timedelta(days=365)
"""Around now, where nobody says what is needed."""

_LOST = {"syncstatenotfound", "syncstateinvalid", "resyncrequired", "errorinvalidsyncstatedata"}


class LostTokenError(Exception):
    """Graph does not know the state any more that a link stands for (410, concepts/delta-query-overview)."""


def span_for(
    window: Window | None, now: datetime, *, ahead: timedelta = AHEAD, before: timedelta = BEFORE
) -> Window:
    """What is read for a window: more than it on either side, but no more than Graph allows.

    What is too much is cut off the past; the far future goes where now itself would be lost otherwise.
    """
    need = window or Window(now - _NEED_BEFORE, now + _NEED_AHEAD)
    last = min(need.last + ahead, now - BEFORE + LONGEST - AHEAD + ahead)
    return Window(max(need.first - before, last - LONGEST), last)


@dataclass(frozen=True, slots=True)
class Cursor:
    """What is remembered between two readings: the deltaLink, and the span that it was born with."""

    link: str
    covered: Window

    def reaches(self, window: Window | None, now: datetime) -> bool:
        """Whether all that is needed now lies in the span."""
        need = span_for(window, now, ahead=timedelta(), before=timedelta())
        first = max(need.first, self.covered.last - LONGEST)
        return self.covered.first <= first and need.last <= self.covered.last

    def dump(self) -> str:
        first, last = (
            moment.astimezone(UTC).isoformat() for moment in (self.covered.first, self.covered.last)
        )
        return json.dumps({"v": 1, "link": self.link, "first": first, "last": last}, separators=(",", ":"))

    @classmethod
    def load(cls, text: str | None) -> Self | None:
        """The inverse of `dump`; None where there is none, or where it was written by something else."""
        try:
            data = json.loads(text or "null")
            if not isinstance(data, dict) or data.get("v") != 1 or not isinstance(data["link"], str):
                return None
            first, last = (datetime.fromisoformat(data[name]).astimezone(UTC) for name in ("first", "last"))
        except (ValueError, TypeError, KeyError):
            return None
        return cls(data["link"], Window(first, last))


class DeltaReader:
    """Asks for the rows of one round. `link` is the deltaLink once `pages` has come to its end."""

    def __init__(self, session: GraphSession, places: Places) -> None:
        self.link: str | None = None
        self._session = session
        self._places = places

    async def pages(
        self, link: str | None, covered: Window
    ) -> AsyncGenerator[Sequence[Mapping[str, Any]], None]:
        """The rows page by page: what has changed since `link`, or all of the span without one.

        Raises LostTokenError, CalendarNotFound, and what GraphSession.send raises.
        """
        path = self._places.delta(covered.first, covered.last)
        place = await self._session.mailbox() + path if link is None else link
        while True:
            prefer = f"{PREFER}, odata.maxpagesize={PAGE_SIZE}"
            data = _page(await self._session.send("GET", place, prefer=prefer))
            rows = data.get("value")
            if not isinstance(rows, list) or not all(isinstance(row, dict) and row.get("id") for row in rows):
                raise incomplete()
            yield rows
            if "@odata.nextLink" not in data:
                self.link = self._session.follows(data.get("@odata.deltaLink"))
                return
            place = self._session.follows(data["@odata.nextLink"])


def _page(answer: Answer) -> Mapping[str, Any]:
    if answer.status == 410 or answer.code.lower() in _LOST:
        raise LostTokenError
    if answer.status == 404:
        raise CalendarNotFound("This calendar is no longer there, or no longer shared with you.")
    if not answer.ok:
        raise Unavailable("Microsoft does not list this calendar at the moment.")
    return answer.data
