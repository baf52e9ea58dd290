"""Getting a feed, and what the answers mean that are none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from calendarsync.net import HttpClient, NetError, Response, TooLarge
from calendarsync.providers.base import (
    CalendarNotFound,
    Forbidden,
    NotACalendar,
    NotAuthorized,
    ProviderError,
    Unavailable,
    Unreachable,
)
from calendarsync.providers.failures import no_answer, request_to_slow_down
from calendarsync.providers.icalendar import Feed, FeedError, NoCalendarError, read_feed
from calendarsync.providers.icalendar.feed import FEED_MAX_BYTES, FeedTooLargeError
from calendarsync.providers.ics.address import FeedAddress

TIMEOUT_SECONDS = 60.0


async def download(
    client: HttpClient,
    address: FeedAddress,
    headers: Mapping[str, str],
    *,
    confined: bool,
    now: Callable[[], datetime],
) -> Response | None:
    """The answer that holds the feed; None where it did not change. Raises ProviderError."""
    try:
        response = await client.request(
            "GET",
            address.url,
            headers={"Accept": "text/calendar, text/*;q=0.5, */*;q=0.1", **headers},
            credentials=address.credentials,
            max_bytes=FEED_MAX_BYTES,
            timeout_seconds=TIMEOUT_SECONDS,
            confined=confined,
            secret_url=True,
        )
    except TooLarge:
        raise Unreachable("The feed is too large to be read.") from None
    except NetError as error:
        raise no_answer(error) from error
    if response.status == 304 and headers:
        return None
    if response.status != 200:
        raise _meaning(response, address, now())
    return response


async def read(response: Response, owner: frozenset[str]) -> Feed:
    """The feed that an answer holds, read in a thread. Raises NotACalendar, Unavailable, Unreachable."""
    try:
        return await asyncio.to_thread(read_feed, response.body, owner=owner)
    except NoCalendarError as error:
        raise NotACalendar(str(error)) from None
    except FeedTooLargeError as error:
        raise Unreachable(str(error)) from None
    except FeedError as error:
        raise Unavailable(str(error)) from None


def _meaning(response: Response, address: FeedAddress, now: datetime) -> ProviderError:
    slow_down = request_to_slow_down(response, now)
    if slow_down is not None:
        return slow_down
    status = response.status
    if status == 401 and address.credentials is not None:
        return NotAuthorized("The server does not accept the user name and password of the address.")
    kind, words = _STATUSES.get(status) or _STATUSES.get(status // 100, _NO_CALENDAR)
    return kind(words)


_NO_CALENDAR = (NotACalendar, "The address does not answer with a calendar.")
_STATUSES: Mapping[int, tuple[type[ProviderError], str]] = {
    401: (Forbidden, "The server does not allow the feed to be read."),
    403: (Forbidden, "The server does not allow the feed to be read."),
    404: (CalendarNotFound, "There is no feed at this address, or not any more."),
    410: (CalendarNotFound, "There is no feed at this address, or not any more."),
    3: (Unreachable, "The server redirects to an address that is not followed."),
    5: (Unavailable, "The server failed to answer."),
}
"""What a status means, or the first digit of one."""
