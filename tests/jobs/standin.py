"""A provider's channels in memory, and what looks after them in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from calendarsync.jobs.bursts import Bursts
from calendarsync.jobs.channels import Channels
from calendarsync.jobs.notices import Notice, Notices
from calendarsync.jobs.pushing import Push
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.providers.base import Channel, ProviderError
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.store.tables import channels, connections, orders
from tests.testbed.memory_desk import MemoryDesk

LIFE = timedelta(days=7)
PROVIDER = "google"


@dataclass
class StandIn:
    """`tokens` are those of the channels that are open, by our ids. What was asked of it is in `asked`.

    `failing` is raised, one after the other, by what is asked next; `held` holds up the answer to a watch.
    """

    clock: Callable[[], datetime]
    renews: bool = False
    reachable: bool = True
    tokens: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failing: list[ProviderError] = field(default_factory=list)
    held: asyncio.Event | None = None
    watching: asyncio.Event = field(default_factory=asyncio.Event)
    bursts: list[Bursts] = field(default_factory=list)

    @property
    def push(self) -> Push:
        return Push(lambda _: "https://calendar.example.com/push" if self.reachable else None, self._service)

    def _service(self, _: ConnectionRecord) -> StandIn:
        return self

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.failing:
            raise self.failing.pop(0)

    async def watch(self, channel_id: str, token: str) -> Channel:
        self._ask("watch")
        self.tokens[channel_id] = token
        self.watching.set()
        if self.held is not None:
            await self.held.wait()
        return self._lasting(channel_id)

    async def renew(self, channel: Channel) -> Channel | None:
        if not self.renews:
            return None
        self._ask("renew")
        channel_id = channel.remote_id.removeprefix("remote-")
        return self._lasting(channel_id) if channel_id in self.tokens else None

    async def unwatch(self, channel_id: str, channel: Channel) -> None:
        assert channel.remote_id == f"remote-{channel_id}"
        self._ask("unwatch")
        self.tokens.pop(channel_id, None)

    def _lasting(self, channel_id: str) -> Channel:
        return Channel(f"remote-{channel_id}", self.clock() + LIFE)

    async def close(self) -> None:
        """Let everybody who was made with it come to rest."""
        for each in self.bursts:
            each.end_all()
        await _all_of("orders of pushes")

    def notice(self, **values: Any) -> Notice:
        """What it sends through its one open channel."""
        ((channel_id, token),) = self.tokens.items()
        return Notice(channel_id, token, **values)


@dataclass
class Watcher:
    """What looks after channels in one process, and judges notices; there is no worker beside it."""

    desk: MemoryDesk
    standin: StandIn
    channels: Channels
    bursts: Bursts
    notices: Notices

    async def look(self) -> None:
        """Bring in order what is due."""
        await self.channels.look()
        await _all_of("channels of")

    async def row(self, name: str = "a") -> Any:
        """The connection of a calendar."""
        return await self.desk.app.row(connections, self.desk.connections[name])

    async def change(self, name: str = "a", **values: Any) -> None:
        async with self.desk.app.db.write() as db:
            mine = connections.c.id == self.desk.connections[name]
            await db.execute(update(connections).where(mine).values(**values))

    async def known(self) -> list[Any]:
        """The rows of channels, the one that ends first before the others."""
        async with self.desk.app.db.read() as db:
            return list((await db.execute(select(channels).order_by(channels.c.expires_at))).all())

    async def ordered(self) -> int:
        """How many runs have been ordered, once nothing waits in memory."""
        self.bursts.end_all()
        await _all_of("orders of pushes")
        async with self.desk.app.db.read() as db:
            return int((await db.execute(select(func.count()).select_from(orders))).scalar_one())


async def _all_of(kind: str) -> None:
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name().startswith(kind)))


def watcher(desk: MemoryDesk, standin: StandIn, *, wakeups: Wakeups | None = None) -> Watcher:
    app = desk.app
    bursts = Bursts(app.db, wakeups or Wakeups(app.db))
    standin.bursts.append(bursts)
    kept = Channels(app.db, app.keyring, standin.push, on_gap=bursts.add, chance=lambda: 0.0)
    return Watcher(desk, standin, kept, bursts, Notices(app.db, app.keyring, bursts))


async def grant(desk: MemoryDesk, *names: str) -> None:
    """Let a provider that can push be theirs; their channels are to be looked at."""
    of_these = connections.c.id.in_([desk.connections[name] for name in names])
    values = {"provider": PROVIDER, "grant_id": "grant_1", "watch_at": desk.app.clock()}
    async with desk.app.db.write() as db:
        await db.execute(update(connections).where(of_these).values(values))
