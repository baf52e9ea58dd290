"""What the account has already: how a second run finds what a first one did, with a result file and without."""

from __future__ import annotations

from urllib.parse import urlsplit

from calendarsync.cli.onboarding.people import DELEGATED, End, Person
from calendarsync.client.models import Connection, SyncPair
from calendarsync.providers.caldav import canonical_url

_MIRRORED = {"a_to_b": "b_to_a", "b_to_a": "a_to_b", "bidirectional": "bidirectional"}


class Stock:
    """Connections and pairs by their ids."""

    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}
        self.pairs: dict[str, SyncPair] = {}
        self._calendars: dict[tuple[str, str], str] = {}
        self._between: dict[frozenset[str], list[SyncPair]] = {}

    def add_connection(self, connection: Connection) -> None:
        self.connections[connection.id] = connection
        if connection.provider != "ics":  # whose id is a host alone, which many feeds share
            name = _calendar(connection.provider, connection.calendar_id)
            self._calendars[connection.provider, name] = connection.id

    def add_pair(self, pair: SyncPair) -> None:
        if pair.removal is None:
            self.pairs[pair.id] = pair
            ends = frozenset((pair.connection_a_id, pair.connection_b_id))
            self._between.setdefault(ends, []).append(pair)

    def connection_to(self, end: End) -> str | None:
        """The id of the connection to a calendar that the file names by its id; None where there is none."""
        return self._calendars.get((end.provider, _calendar(end.provider, end.calendar_id)))

    def may_have(self, end: End) -> bool:
        """Whether a calendar that the file does not name may be connected: one of its server and owner is."""
        if end.calendar_id:
            return False
        return end.provider in ("caldav", *DELEGATED) and bool(self._of_owner(end))

    def feeds(self, end: End) -> list[str]:
        """Ids of the connections that a feed may be: those of its host and owner."""
        return self._of_owner(end)

    def _of_owner(self, end: End) -> list[str]:
        host, email = _host(end.url), end.email.casefold()
        return [
            each.id
            for each in self.connections.values()
            if each.provider == end.provider
            and (each.email or "").casefold() == email
            and (end.provider in DELEGATED or _host(each.calendar_id) == host)
        ]

    def pair_for(self, person: Person, a: str, b: str) -> SyncPair | None:
        """The pair that is just what a row asks for; None where there is none."""
        wanted = {(a, b, person.direction), (b, a, _MIRRORED[person.direction])}
        for pair in self._between.get(frozenset((a, b)), ()):
            flow = pair.connection_a_id, pair.connection_b_id, pair.direction
            if pair.sync_mode == person.sync_mode and flow in wanted:
                return pair
        return None


def _calendar(provider: str, calendar_id: str) -> str:
    """The one spelling of a calendar's id that all others become."""
    try:
        return canonical_url(calendar_id) if provider == "caldav" else calendar_id
    except ValueError:
        return calendar_id


def _host(url: str) -> str:
    """Of an address, which may be a host alone."""
    try:
        return (urlsplit(url if "//" in url else f"//{url}").hostname or "").casefold()
    except ValueError:
        return ""


def credentials(end: End) -> dict[str, str]:
    """What leads to an account's calendars, without empty words."""
    if end.provider in DELEGATED:
        return {"delegated_user": end.email}
    given = {"url": end.url, "username": end.username, "password": end.password}
    return {name: value for name, value in given.items() if value}


def access(end: End) -> dict[str, str]:
    """What connects one calendar, without empty words."""
    owner = {} if end.provider in DELEGATED else {"email": end.email}
    given = {**credentials(end), "calendar_id": end.calendar_id, **owner}
    return {name: value for name, value in given.items() if value}
