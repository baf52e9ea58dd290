"""Triggers through the API at a steady pace, of pairs of many small accounts; how long each is waited for."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from benchmarks.scale.processes import ScaleError

_PACE_SECONDS = (0.05, 0.1)
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """A pair, and its account's key."""

    pair_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Waited:
    """When a trigger was sent, by `perf_counter`, and how many seconds later its run had ended."""

    at: float
    seconds: float


async def trigger_for(seconds: float, port: int, targets: Sequence[Target]) -> list[Waited]:
    """Trigger one after the other, whether those before were answered or not. Raises ScaleError where one fails."""
    connections = _Connections(port)
    ends = perf_counter() + seconds
    asked: list[asyncio.Task[Waited]] = []
    for target in itertools.cycle(random.sample(targets, len(targets))):
        if perf_counter() > ends:
            break
        asked.append(asyncio.create_task(_trigger(connections, target)))
        await asyncio.sleep(random.uniform(*_PACE_SECONDS))
    try:
        return await asyncio.gather(*asked)
    finally:
        for each in asked:
            each.cancel()
        connections.close()


async def _trigger(connections: _Connections, target: Target) -> Waited:
    head = (
        f"POST /api/v1/sync-pairs/{target.pair_id}/trigger HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {target.key}\r\nContent-Length: 0\r\n\r\n"
    )
    started = perf_counter()
    status, body = await asyncio.wait_for(connections.ask(head.encode()), _ANSWER_SECONDS)
    waited = Waited(started, perf_counter() - started)
    if status != 200 or not json.loads(body)["success"]:
        raise ScaleError(f"a trigger was answered with {status}: {body[:500]!r}")
    return waited


class _Connections:
    """Each has one request in flight; another is opened where all are in use, and all are used in turn."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """The answer's status and body."""
        reader, writer = (
            self._idle.pop(0) if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        )
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        _, _, rest = head.partition(b"content-length:")
        body = await reader.readexactly(int(rest.partition(b"\r\n")[0]))
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1]), body

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
