"""A worker: claims pairs that are due or ordered, and has them run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from calendarsync.jobs.channels import Channels
from calendarsync.jobs.deliveries import Deliverer
from calendarsync.jobs.outbox import WEBHOOKS_DUE
from calendarsync.jobs.quotas import Quotas
from calendarsync.jobs.results import Results
from calendarsync.jobs.runs import LEASE, Runs, end_tasks, load
from calendarsync.jobs.tidy import TIDY_SECONDS, Tidy
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.metrics import Metrics
from calendarsync.providers.limiter import OF_THIS_PROCESS
from calendarsync.store.choosing import BEGINNING
from calendarsync.store.claiming import claim_due, claim_ordered
from calendarsync.store.claims import Claim
from calendarsync.store.clock_jumps import pull_in, shorten_leases
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.dialects import GIVEN_CHANNEL
from calendarsync.store.fairness import Places
from calendarsync.store.given import take_given
from calendarsync.store.ids import new_id
from calendarsync.sync.pace import SLOWEST, slowest_interval
from calendarsync.sync.round import JITTER
from calendarsync.sync.run import Engine
from calendarsync.sync.turns import FURTHEST, LONGEST_DEBT

PAIR_ORDERED = "pair_ordered"

RUNS_AT_ONCE = 128
"""How many pairs the schedule has at work in one process."""

_CLAIMED_AT_ONCE = 64
"""So that pairs are spread over the workers that are there, and the next are fetched while these are at work."""

_FEWEST_ENDS = 8
"""After a claim that found little, so many runs end before the next one is made, if as many are at work."""

_MOST_RUNS = 8 * RUNS_AT_ONCE
"""The same with those that wait for a calendar, which cost a renewal now and then."""

_MOST_ORDERED = 128
"""How many runs one process has at work that somebody waits for; the schedule leaves them their place."""

_FRUITLESS_LOOKS = 8
"""So many looks at the orders of ever more accounts follow at once though none of them can be claimed."""

BEAT_SECONDS = 4.0
TICK_SECONDS = 1.0
DRAIN_SECONDS = 12.0
_END_SECONDS = 2.0
CLOCK_JUMP_SECONDS = 5.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _PutOff:
    """Pairs that are due later than that, from `since` on."""

    latest: datetime
    watched_latest: datetime
    since: datetime | None = None


class Worker:
    """Runs pairs, each under a claim, delivers webhooks, and keeps channels where there are any to be kept.

    Any number of workers share a PostgreSQL database; SQLite has one. `id` tells them apart.
    """

    def __init__(
        self,
        db: Database,
        engine: Engine,
        wakeups: Wakeups,
        results: Results,
        *,
        deliverer: Deliverer,
        poll_seconds: float,
        slowest_seconds: float = SLOWEST,
        channels: Channels | None = None,
        metrics: Metrics | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self.id = new_id("worker")
        self._db = db
        self._engine = engine
        self._wakeups = wakeups
        self._deliverer = deliverer
        self._tidy = Tidy(db)
        self._channels = channels
        self._poll = timedelta(seconds=poll_seconds)
        self._slowest = timedelta(seconds=slowest_interval(poll_seconds, slowest_seconds))
        self._runs = Runs(db, engine, results, self._poll, self._on_end, metrics or Metrics(), quotas)
        self._scheduling = self._clock_minded = self._clock_set_back = False
        # What the clock has put off is pulled in from here on, where it is later than that.
        self._put_off: _PutOff | None = None
        # What the schedule and the orders wait for beside their next look; whether more was there than room; and
        # whether an order was there that could not be claimed.
        self._woken, self._asked = asyncio.Event(), asyncio.Event()
        self._given, self._listener = asyncio.Event(), results.listener
        self._more = self._blocked = False
        # How many runs of the schedule have ended since it last claimed, and of how many the room is worth a claim:
        # each costs several statements under a lock that all workers want.
        self._ended, self._worth = 0, 1
        # Where the next look at orders goes on, and how many were for nothing since one was not.
        self._after, self._fruitless = BEGINNING, 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, *, schedule: bool = True) -> None:
        """Begin. Without `schedule` only what is ordered is run; webhooks are delivered in any case."""
        self._scheduling = schedule
        handlers = {
            PAIR_ORDERED: self._on_ordered,
            WEBHOOKS_DUE: self._on_webhooks_due,
        }
        deliverer, tidy = self._deliverer, self._tidy
        loops = [
            _again_and_again(self._runs.renew, asyncio.Event(), BEAT_SECONDS, lambda: False),
            self._wakeups.listen(handlers),
            _again_and_again(self._carry_on_orders, self._asked, TICK_SECONDS, self._is_stopping),
            _again_and_again(deliverer.look, deliverer.woken, TICK_SECONDS, self._is_stopping),
            _again_and_again(tidy.look, tidy.woken, TIDY_SECONDS, self._is_stopping),
        ]
        if self._channels is not None:
            channels = self._channels
            loops.append(_again_and_again(channels.look, channels.woken, TICK_SECONDS, self._is_stopping))
        if self._db.backend == "postgresql":
            self._listener.hear(GIVEN_CHANNEL, self._on_given)
            loops.append(_again_and_again(self._take_given, self._given, TICK_SECONDS, self._is_stopping))
        if schedule:
            loops.append(_again_and_again(self._tick, self._woken, TICK_SECONDS, self._is_stopping))
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def stop(self) -> None:
        """Take on nothing new; let what is at work come to its end for a while, and give the rest back."""
        self._runs.stopping = True
        self._wakeups.stop()
        keeping, others = self._tasks[:1], self._tasks[1:]
        self._woken.set()
        self._asked.set()
        self._given.set()
        self._deliverer.wake()
        self._tidy.stop()
        draining = [self._runs.drain(DRAIN_SECONDS), self._deliverer.drain(DRAIN_SECONDS)]
        if self._channels is not None:
            self._channels.woken.set()
            draining.append(self._channels.drain(DRAIN_SECONDS))
        await end_tasks(others, _END_SECONDS)
        await asyncio.gather(_for_a_while(self._runs.retire(self.id), DRAIN_SECONDS), *draining)
        await end_tasks(keeping, 0.0)
        giving_back = asyncio.gather(self._runs.give_back_all(), self._deliverer.give_back_all())
        await _for_a_while(giving_back, _END_SECONDS)

    def wake(self) -> None:
        """Something became due: look at once."""
        self._woken.set()

    async def _tick(self) -> None:
        """Claim what is due, as much as there is room for, and run it."""
        await self._mind_the_clock()
        # Runs that wait for a calendar, or for what its provider lets a grant do, take no place: a slow hub would
        # hold up everybody else.
        waiting = self._engine.waiting + OF_THIS_PROCESS.waiting
        free = min(RUNS_AT_ONCE + waiting, _MOST_RUNS) - self._runs.scheduled
        if free <= 0:
            return
        places = Places(free, _CLAIMED_AT_ONCE, self._runs.at_work(ordered=False))
        ahead, back = self._poll * JITTER, random.choice((0.0, random.random()))
        async with self._db.write() as db:
            now = self._db.now()
            taken = await claim_due(db, now, now + LEASE, places, worker=self.id, ahead=ahead, back=back)
        self._more, self._ended = taken.more, 0
        if taken.claims:
            await self._run(taken.claims, now + LEASE, scheduling=True)
        self._worth = min(max(len(taken.claims), _FEWEST_ENDS * 2) // 2, max(self._runs.scheduled, 1))
        if taken.more and taken.claims and free - len(taken.claims) >= _CLAIMED_AT_ONCE // 2:
            self._woken.set()

    async def _mind_the_clock(self) -> None:
        """A clock that was set back, now or before this process began, has put off everything by as much."""
        jump = await self._db.read_clock()
        now = self._db.now()
        if abs(jump) >= CLOCK_JUMP_SECONDS:
            _log.warning("clock_jumped", seconds=round(jump))
        if jump <= -CLOCK_JUMP_SECONDS:
            self._clock_set_back = True
            self._tidy.mind_the_clock()
        if self._clock_set_back or not self._clock_minded:
            # What is put off no further than the slowest pace may be meant so: that is sure only if it jumped now.
            soonest = self._poll if self._clock_set_back else self._slowest
            self._put_off = _PutOff(now + soonest, now + self._slowest)
            # What others claim or renew at this moment counts a little longer than what would be claimed by `now`.
            longest = now + LEASE + timedelta(seconds=CLOCK_JUMP_SECONDS)
            async with self._db.write() as db:
                await shorten_leases(db, longest, now + self._poll)
            if self._runs.quotas is not None:
                await self._runs.quotas.pull_in(LONGEST_DEBT if self._clock_set_back else FURTHEST)
            await self._deliverer.mind_the_clock()
            self._clock_minded, self._clock_set_back = True, False
        if self._put_off is not None:
            await self._pull_in(self._put_off, now + self._poll * random.random())

    async def _pull_in(self, put_off: _PutOff, at: datetime) -> None:
        """A batch, each at a time of its own; others follow with the next looks."""
        async with self._db.write() as db:
            put_off.since = await pull_in(db, at, put_off.latest, put_off.watched_latest, since=put_off.since)
        if put_off.since is None:
            self._put_off = None
        else:
            self._woken.set()

    async def _carry_on_orders(self) -> None:
        """Claim what was ordered, as much as there is room for, and run it."""
        free = _MOST_ORDERED - self._runs.ordered
        if free <= 0:
            return
        places = Places(free, _CLAIMED_AT_ONCE, self._runs.at_work(ordered=True))
        async with self._db.write() as db:
            now = self._db.now()
            taken = await claim_ordered(db, now, now + LEASE, places, worker=self.id, after=self._after)
        self._after = taken.after
        self._fruitless = 0 if taken.claims else self._fruitless + 1
        if taken.claims or not taken.any:
            self._blocked = False
        if taken.claims:
            await self._run(taken.claims, now + LEASE, scheduling=self._scheduling)
        goes_on = taken.after != BEGINNING and self._fruitless < _FRUITLESS_LOOKS
        if taken.more and (taken.claims or goes_on):
            self._asked.set()

    async def _take_given(self) -> None:
        """Run what others claimed for this process, which has its grants at work, however much it has to do."""
        async with self._db.write() as db:
            now = self._db.now()
            claims = await take_given(db, self.id, now, now + LEASE, ahead=self._poll * JITTER)
        if claims:
            await self._run(claims, now + LEASE, scheduling=self._scheduling)

    async def _run(self, claims: Sequence[Claim], until: datetime, *, scheduling: bool) -> None:
        """Begin the runs of these claims. What they begin with is read once others may claim."""
        try:
            async with self._db.read() as db:
                here = await load(db, claims, until)
        except DatabaseUnavailable:
            await self._runs.give_back(claims)
            raise
        await self._runs.take_up(here, scheduling=scheduling)

    def _on_given(self, worker: str | None) -> None:
        if worker in (None, self.id):
            self._given.set()

    async def _on_ordered(self) -> None:
        # Until it is claimed: its calendar may be in use, or there may be no room.
        self._blocked = True
        self._fruitless = 0
        self._asked.set()

    async def _on_webhooks_due(self) -> None:
        self._deliverer.wake()

    def _on_end(self, ordered: bool) -> None:
        """A run has made room, and left its calendars."""
        if ordered or self._blocked:
            self._asked.set()
        self._ended += not ordered
        if self._more and self._ended >= self._worth:
            self._woken.set()

    def _is_stopping(self) -> bool:
        return self._runs.stopping


async def _for_a_while(what: Awaitable[object], seconds: float) -> None:
    """It is broken off then."""
    with suppress(TimeoutError):
        await asyncio.wait_for(what, seconds)


async def _again_and_again(
    look: Callable[[], Awaitable[None]], woken: asyncio.Event, seconds: float, is_over: Callable[[], bool]
) -> None:
    """Look when woken, and at least every so many seconds."""
    while not is_over():
        woken.clear()
        try:
            await look()
        except DatabaseUnavailable:
            _log.warning("worker_waits_for_database")
        except Exception as defect:  # noqa: BLE001 - the next look tries again
            _log.error("worker_failed", defect=type(defect).__name__)
            await asyncio.sleep(TICK_SECONDS)
        with suppress(TimeoutError):
            # By chance a little apart, so that many workers do not ask at the same moment.
            await asyncio.wait_for(woken.wait(), seconds * random.uniform(0.8, 1.2))
