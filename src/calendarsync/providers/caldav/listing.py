"""Which resources a calendar holds, and which of them changed: ids and ETags, no contents.

Two ways: sync-collection (RFC 6578), and for servers without it the ctag with a listing of all ETags. The
rule under both: absence counts only after a genuine listing of everything (`complete`).
docs/decisions/caldav-by-hand.md tells why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from calendarsync.net import Response
from calendarsync.providers.base import Known, NotACalendar, Unavailable
from calendarsync.providers.caldav import quirks
from calendarsync.providers.caldav.cursor import Cursor, digest_of
from calendarsync.providers.caldav.hrefs import decode, encode, member_id, path_of
from calendarsync.providers.caldav.session import DavSession, read_rows
from calendarsync.providers.caldav.xml import (
    GETETAG,
    Row,
    caldav,
    calendarserver,
    dav,
    propfind,
    sync_collection,
)

# Deletions can get lost: a server forgets a token without saying so, or prunes its log of changes
# (Nextcloud). So everything is listed anew from time to time; that is one request as well, with a longer
# answer.
RELIST_SILENT = timedelta(days=1)
RELIST_HONEST = timedelta(days=7)

_GETCTAG = calendarserver("getctag")
_REPORTS = dav("supported-report-set")


@dataclass(frozen=True, slots=True)
class Entry:
    """A resource as listed: its id, its href's path as the server spells it, its ETag if it has one."""

    id: str
    path: str
    etag: str | None


@dataclass(slots=True)
class Listing:
    """`present` are live resources: all of them if `complete`, else those that may have changed."""

    present: dict[str, Entry] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    complete: bool = False
    cursor: Cursor | None = None


class _Unsupported(Exception):  # noqa: N818 - an answer, not an error
    """The server has no sync-collection, or does not accept this token."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.status = response.status


class Lister:
    """Lists one collection. `url` ends in a slash."""

    def __init__(self, session: DavSession, url: str, *, now: Callable[[], datetime]) -> None:
        self._session = session
        self._url = url
        self._now = now

    async def list(self, cursor: Cursor | None, known: Known) -> Listing:
        """What changed since `cursor`, or everything where that is None, too old, or of no use any more."""
        if cursor is None or self._is_due(cursor) or await _is_behind(cursor, known):
            return await self._everything(cursor)
        if cursor.token is None:
            return await self._by_ctag(cursor)
        try:
            listing = await self._sync(cursor, quirks.overlapping(cursor.token))
        except _Unsupported:
            # 403 or 412 with DAV:valid-sync-token as a rule, but 400, 409, 410 and 418 (Nextcloud) are seen.
            return await self._everything(cursor)
        if await _may_be_reset(cursor.token, listing, known):
            return await self._everything(cursor)
        return listing

    def _is_due(self, cursor: Cursor) -> bool:
        honest = cursor.token is None or quirks.rejects_unknown_tokens(cursor.token)
        age = self._now().timestamp() - cursor.listed_at
        return not 0 <= age < (RELIST_HONEST if honest else RELIST_SILENT).total_seconds()

    async def _everything(self, cursor: Cursor | None) -> Listing:
        fresh = replace(cursor or Cursor(0), listed_at=self._now().timestamp(), token=None, ctag=None)
        try:
            listing = await self._sync(fresh, "")
            token = listing.cursor.token if listing.cursor else None
            if not listing.present and fresh.depth == "0" and not quirks.rejects_unknown_tokens(token or ""):
                listing = await self._at_depth_1(fresh) or listing
        except _Unsupported as error:
            # Servers that follow a draft of RFC 6578 take the members' depth from the header.
            deep = await self._at_depth_1(fresh) if error.status == 400 else None
            if deep is None:
                return await self._by_ctag(fresh, failed=error.status == 500)
            listing = deep
        listing.complete = True
        return listing

    async def _at_depth_1(self, cursor: Cursor) -> Listing | None:
        try:
            listing = await self._sync(replace(cursor, depth="1"), "")
        except _Unsupported:
            return None
        return listing if listing.present else None

    async def _sync(self, cursor: Cursor, token: str) -> Listing:
        """All pages of a sync-collection. Raises _Unsupported."""
        listing = Listing()
        seen = {token}
        while True:
            response = await self._session.send(
                "REPORT", self._url, sync_collection(token), depth=cursor.depth
            )
            if response.status != 207:
                raise _Unsupported(response)
            rows = _Rows(response, listing)
            next_token = await read_rows(response, rows.add)
            rows.check()
            if next_token is None:
                raise _Unsupported(response)
            if not rows.truncated:
                listing.cursor = replace(cursor, token=next_token, ctag=None)
                return listing
            if next_token in seen:
                raise Unavailable("The server does not finish its list of changes.")
            seen.add(next_token)
            token = next_token

    async def _by_ctag(self, cursor: Cursor, *, failed: bool = False) -> Listing:
        """A listing of all ETags, where the ctag changed. `failed`: a sync-collection just ended in a 500."""
        ctag: str | None = None
        syncs = False

        def read(row: Row) -> None:
            nonlocal ctag, syncs
            ctag = ctag or row.text(_GETCTAG)
            syncs = syncs or dav("sync-collection") in row.children(_REPORTS)

        names = [dav("resourcetype"), _GETCTAG, _REPORTS]
        response = await self._session.multistatus("PROPFIND", self._url, propfind(names), read, depth="0")
        if failed and syncs:
            raise Unavailable("The server failed to list the changes.")
        if ctag is not None and ctag == cursor.ctag:
            return Listing(cursor=cursor)
        # The ctag was read before the listing: a change in between is found by the next reading.
        settled = quirks.settled_ctag(ctag, response.headers.get("Date"))
        return await self._etags(replace(cursor, ctag=settled, listed_at=self._now().timestamp()))

    async def _etags(self, cursor: Cursor) -> Listing:
        listing = Listing(complete=True, cursor=cursor)
        names = [GETETAG, dav("resourcetype")]
        response = await self._session.send("PROPFIND", self._url, propfind(names), depth="1")
        rows = _Rows(response, listing)
        await read_rows(response, rows.add)
        rows.check()
        if rows.truncated:
            listing.complete = False
            listing.cursor = replace(cursor, ctag=None)
        return listing


class _Rows:
    """Sorts the rows of one answer into a listing."""

    def __init__(self, response: Response, listing: Listing) -> None:
        self.truncated = False
        self._listing = listing
        # After a redirect, hrefs lie under the address that answered.
        self._collection = decode(urlsplit(response.url).path).rstrip("/") + "/"
        self._members = 0
        self._elsewhere = 0

    def add(self, row: Row) -> None:
        name = member_id(self._collection, row.href)
        if row.status == 507:  # RFC 6578 section 3.6: there is more
            self.truncated = True
        elif name is None:
            # iCloud lists the collection itself; others list their child collections.
            path = decode(path_of(row.href))
            self._elsewhere += not (path + "/").startswith(self._collection)
        else:
            self._members += 1
            self._add_member(name, row)

    def _add_member(self, name: str, row: Row) -> None:
        listing = self._listing
        if row.status in (404, 410):
            if listing.present.pop(name, None) is None:
                listing.removed.add(name)
        elif row.status is not None and row.status >= 300:
            listing.unreadable.add(name)  # it is there, so its absence must not count
        elif not row.children(dav("resourcetype")) & {dav("collection"), caldav("calendar")}:
            listing.removed.discard(name)
            path = path_of(row.href)
            if not path.startswith("/"):
                path = encode(self._collection + name)
            listing.present[name] = Entry(name, path, row.text(GETETAG))

    def check(self) -> None:
        """Raises NotACalendar where a calendar would seem empty only because its hrefs lead elsewhere."""
        if self._elsewhere and not self._members:
            raise NotACalendar("The server lists this calendar's events under another address.")


async def _is_behind(cursor: Cursor, known: Known) -> bool:
    """Whether the index moved on since the cursor, with our own writes, where a difference may hide their end."""
    return quirks.names_a_state(cursor.token) and cursor.state != digest_of(await known())


async def _may_be_reset(token: str, listing: Listing, known: Known) -> bool:
    """Whether an answer to a token may be a listing of all that is left, deletions unnamed.

    Such an answer repeats resources that did not change, and lacks those that are gone. An answer that
    repeats only our own last writes looks the same; then a listing is made for nothing, which is harmless.
    """
    if not listing.present or quirks.rejects_unknown_tokens(token) or quirks.is_clock(token):
        return False
    versions = await known()
    repeats = any(
        entry.etag is not None and versions.get(entry.id) == entry.etag for entry in listing.present.values()
    )
    return repeats and not versions.keys() <= listing.present.keys() | listing.removed | listing.unreadable
