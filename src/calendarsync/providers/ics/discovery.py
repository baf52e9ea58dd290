"""A first look at a feed, before it is connected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from calendarsync.net import ConnectFailed, HttpClient
from calendarsync.providers.base import DiscoveredCalendar, Unavailable
from calendarsync.providers.ics.address import FeedAddress
from calendarsync.providers.ics.download import download, read


@dataclass(frozen=True, slots=True)
class FoundFeed:
    """`address` is where the feed was read; the calendar's id is its masked form."""

    address: FeedAddress
    calendar: DiscoveredCalendar


async def find_feed(
    client: HttpClient, url: str, *, confined: bool, now: Callable[[], datetime]
) -> FoundFeed:
    """Read the feed once. Raises ProviderError.

    `webcal` names no transport: https is tried, and http where nothing listens for that.
    """
    address = FeedAddress.parse(url)
    try:
        response = await download(client, address, {}, confined=confined, now=now)
    except Unavailable as error:
        nobody = isinstance(error.__cause__, ConnectFailed) and error.__cause__.code == "connection_refused"
        if not (address.webcal and nobody):
            raise
        address = address.over_http()
        response = await download(client, address, {}, confined=confined, now=now)
    assert response is not None  # nothing was made conditional
    feed = await read(response, frozenset())
    name = "".join(filter(str.isprintable, feed.name)).strip() or address.host
    calendar = DiscoveredCalendar(address.masked, name, read_only=True, timezone=feed.timezone)
    return FoundFeed(address, calendar)
