"""The limit: the same requests to the same server, and nothing around them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import aiohttp

from calendarsync.sync.apply import GROUPS_IN_FLIGHT
from tests.testbed.dav import DavServer

_REPORT = (
    '<sync-collection xmlns="DAV:"><sync-token>{token}</sync-token><sync-level>1</sync-level>'
    "<prop><getetag/></prop></sync-collection>"
)
_TOKEN = re.compile(r"<(?:\w+:)?sync-token>(.*?)</(?:\w+:)?sync-token>")


@dataclass(frozen=True)
class Place:
    """A calendar (URL) as one person of a server sees it."""

    server: DavServer
    calendar: str


def _session(server: DavServer) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        auth=aiohttp.BasicAuth(server.username, server.password),
        connector=aiohttp.TCPConnector(limit=GROUPS_IN_FLIGHT),
    )


async def put_all(place: Place, objects: Mapping[str, bytes]) -> float:
    """Seconds to PUT all objects into an empty calendar, as many in flight as the engine has."""
    waiting = iter(objects.items())

    async def worker(http: aiohttp.ClientSession) -> None:
        for name, data in waiting:
            headers = {"Content-Type": "text/calendar; charset=utf-8", "If-None-Match": "*"}
            async with http.put(place.calendar + name, data=data, headers=headers) as answer:
                assert answer.status == 201, answer.status

    async with _session(place.server) as http:
        started = perf_counter()
        await asyncio.gather(*(worker(http) for _ in range(GROUPS_IN_FLIGHT)))
        return perf_counter() - started


async def reports(a: Place, b: Place, times: int) -> list[float]:
    """Seconds for one REPORT to each of two calendars at once, without a change, again and again."""
    seconds = []
    async with _session(a.server) as at_a, _session(b.server) as at_b:
        tokens = await _report(at_a, a, ""), await _report(at_b, b, "")
        for _ in range(times):
            started = perf_counter()
            await asyncio.gather(_report(at_a, a, tokens[0]), _report(at_b, b, tokens[1]))
            seconds.append(perf_counter() - started)
    return seconds


async def _report(http: aiohttp.ClientSession, place: Place, token: str) -> str:
    """One sync-collection REPORT; the new token."""
    headers = {"Content-Type": "text/xml", "Depth": "0"}
    body = _REPORT.format(token=token)
    async with http.request("REPORT", place.calendar, data=body, headers=headers) as answer:
        found = _TOKEN.search(await answer.text())
        assert answer.status == 207, answer.status
        assert found is not None
        return found.group(1)
