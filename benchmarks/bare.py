"""The floor: the same requests to the same server, and nothing around them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from time import perf_counter

import aiohttp

from calendarsync.sync.apply import WRITES_IN_FLIGHT
from tests.testbed.dav import DavServer

_REPORT = (
    '<sync-collection xmlns="DAV:"><sync-token>{token}</sync-token><sync-level>1</sync-level>'
    "<prop><getetag/></prop></sync-collection>"
)
_TOKEN = re.compile(r"<(?:\w+:)?sync-token>(.*?)</(?:\w+:)?sync-token>")


def session(server: DavServer) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        auth=aiohttp.BasicAuth(server.username, server.password),
        connector=aiohttp.TCPConnector(limit=WRITES_IN_FLIGHT),
    )


async def put_all(server: DavServer, calendar: str, objects: Mapping[str, bytes]) -> float:
    """Seconds to PUT all objects into an empty calendar, as many in flight as the engine has."""
    waiting = iter(objects.items())

    async def worker(http: aiohttp.ClientSession) -> None:
        for name, data in waiting:
            headers = {"Content-Type": "text/calendar; charset=utf-8", "If-None-Match": "*"}
            async with http.put(calendar + name, data=data, headers=headers) as answer:
                assert answer.status == 201, answer.status

    async with session(server) as http:
        started = perf_counter()
        await asyncio.gather(*(worker(http) for _ in range(WRITES_IN_FLIGHT)))
        return perf_counter() - started


async def report(http: aiohttp.ClientSession, calendar: str, token: str) -> str:
    """One sync-collection REPORT; the new token."""
    body = _REPORT.format(token=token)
    async with http.request("REPORT", calendar, data=body, headers={"Content-Type": "text/xml"}) as answer:
        found = _TOKEN.search(await answer.text())
        assert answer.status == 207, answer.status
        assert found is not None
        return found.group(1)


async def reports(server: DavServer, calendars: tuple[str, str], times: int) -> list[float]:
    """Seconds for one REPORT to each of two calendars at once, without a change, again and again."""
    seconds = []
    async with session(server) as http:
        tokens = [await report(http, calendar, "") for calendar in calendars]
        for _ in range(times):
            started = perf_counter()
            await asyncio.gather(*map(report, [http] * 2, calendars, tokens))
            seconds.append(perf_counter() - started)
    return seconds
