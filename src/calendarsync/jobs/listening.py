"""What the processes of one database tell each other, heard on a connection of each. It only makes things quick."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from calendarsync.store.database import Database

_PAUSE_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Listener:
    """With SQLite there is no other process, and nothing is heard."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._hearers: dict[str, Callable[[str | None], None]] = {}
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def hear(self, channel: str, hearer: Callable[[str | None], None]) -> None:
        """From now on `hearer` is told what is said on this channel.

        None: something may have been said that was not heard, for the connection was not there.
        """
        self._hearers[channel] = hearer
        self._stirred.set()
        if self._task is None and self._db.backend == "postgresql":
            self._task = asyncio.create_task(self._listen(), name="what other processes say")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except Exception as error:  # noqa: BLE001 - who waits looks at the tables meanwhile
                _log.warning("notices_interrupted", error=type(error).__name__)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _listen_once(self) -> None:
        connection = await self._db.connect_raw()
        listening: set[str] = set()
        try:
            connection.add_termination_listener(lambda _: self._stirred.set())
            while not connection.is_closed():
                self._stirred.clear()
                for channel in self._hearers.keys() - listening:
                    await connection.add_listener(channel, self._notice)
                    listening.add(channel)
                    self._hearers[channel](None)
                await self._stirred.wait()
        finally:
            connection.terminate()

    def _notice(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        self._hearers[channel](str(payload))
