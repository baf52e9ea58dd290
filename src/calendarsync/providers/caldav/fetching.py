"""Reading resources: calendar-multiget (RFC 4791 section 7.9), and GET where that does not work."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from calendarsync.domain.event import Problem, Resource
from calendarsync.net import Response
from calendarsync.providers.caldav.hrefs import decode, encode, member_id, member_url
from calendarsync.providers.caldav.listing import Entry
from calendarsync.providers.caldav.session import AnswerTooLarge, DavSession, meaning
from calendarsync.providers.caldav.xml import (
    CALENDAR_DATA,
    GETETAG,
    Row,
    XmlError,
    calendar_multiget,
    read_multistatus,
)
from calendarsync.providers.concurrency import all_of, aside
from calendarsync.providers.icalendar import read_resource

BATCH = 64  # resources in one multiget
BATCH_MAX_BYTES = 32 * 1024 * 1024
RESOURCE_MAX_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Data:
    """What a resource holds; or the `problem` that keeps it from being read."""

    id: str
    etag: str | None
    content: bytes = b""
    problem: Problem | None = None

    def resource(self, owner: frozenset[str]) -> Resource:
        """What it means; `owner` as in `read_resource`."""
        if self.problem is not None:
            return Resource(self.id, self.etag, uid="", components=(), problem=self.problem)
        return read_resource(self.id, self.etag, self.content, owner=owner)


class Fetcher:
    """Reads resources of the collection at `url`, which ends in a slash."""

    def __init__(self, session: DavSession, url: str) -> None:
        self.multiget = True
        self._session = session
        self._url = url
        self._path = decode(urlsplit(url).path)

    def entry(self, resource_id: str) -> Entry:
        """How a resource is asked for of which only the id is known."""
        return Entry(resource_id, encode(self._path + resource_id), None)

    async def get(self, resource_id: str) -> Data | None:
        """One resource byte for byte; None where it is gone. Raises what any other failure means."""
        entry = self.entry(resource_id)
        answer = await self._get(entry)
        if answer is not None and answer.status not in (200, 404, 410):
            raise meaning(answer)
        return _data(entry, answer)

    async def fetch(self, entries: Sequence[Entry]) -> list[Data]:
        """At most a batch of resources; those that are gone are left out.

        Raises what the answers mean where all that was asked for, multiget included, was refused alike.
        """
        found: dict[str, Data | None] = {}
        refusal: Response | None = None
        if self.multiget:
            refusal = await self._multiget(entries, found)
        # A server may leave out the row of a missing resource, or spell hrefs as nobody expects.
        rest = [entry for entry in entries if entry.id not in found]
        answers = await all_of([self._get(entry) for entry in rest])
        if not found:
            _raise_if_all_fail(refusal, answers)
        found |= {entry.id: _data(entry, answer) for entry, answer in zip(rest, answers, strict=True)}
        return [data for data in found.values() if data is not None]

    async def _multiget(self, entries: Sequence[Entry], found: dict[str, Data | None]) -> Response | None:
        """Fill `found`, with None for what is gone. The answer is returned if it was no 207."""
        etags = {entry.id: entry.etag for entry in entries}
        collections = [self._path]

        def read(row: Row) -> None:
            ids = (member_id(collection, row.href) for collection in collections)
            name = next((name for name in ids if name in etags), None)
            data = row.properties.get(CALENDAR_DATA)
            if name is None:
                return
            if row.status in (404, 410):
                found[name] = None
            elif data is not None and data.text:
                content = data.text.lstrip().encode()
                found[name] = Data(name, row.text(GETETAG) or etags[name], content)

        body = calendar_multiget(entry.path for entry in entries)
        try:
            response = await self._session.send(
                "REPORT", self._url, body, depth="1", max_bytes=BATCH_MAX_BYTES
            )
        except AnswerTooLarge:
            return None
        if response.status in (403, 405, 501):
            self.multiget = False
        if response.status != 207:
            return response
        collections.append(decode(urlsplit(response.url).path))
        # One resource with a control character spoils the whole answer; the rows before it are good.
        with suppress(XmlError):
            await aside(len(response.body), lambda: read_multistatus(response.body, read))
        return None

    async def _get(self, entry: Entry) -> Response | None:
        """None where the resource is larger than is read."""
        # Apache and nginx change the ETag of what they compress, so that it never equals the listing's.
        headers = {"Accept": "text/calendar", "Accept-Encoding": "identity"}
        url = member_url(self._url, entry.id)
        try:
            return await self._session.send("GET", url, headers=headers, max_bytes=RESOURCE_MAX_BYTES)
        except AnswerTooLarge:
            return None


def _raise_if_all_fail(refusal: Response | None, answers: Sequence[Response | None]) -> None:
    """Tell a calendar that cannot be read from an event that cannot be."""
    failures = [answer for answer in (refusal, *answers) if answer is not None and answer.status >= 400]
    alike = len({answer.status for answer in failures}) == 1 and len(failures) == len(answers) + bool(refusal)
    if not alike or len(failures) < 2:
        return
    if refusal is not None or failures[0].status not in (404, 410):
        raise meaning(failures[0])


def _data(entry: Entry, answer: Response | None) -> Data | None:
    if answer is None:
        return Data(entry.id, entry.etag, problem=Problem.TOO_LARGE)
    if answer.status in (404, 410):
        return None
    if answer.status != 200:
        return Data(entry.id, entry.etag, problem=Problem.UNREADABLE)
    return Data(entry.id, entry.etag or answer.headers.get("ETag"), answer.body)
