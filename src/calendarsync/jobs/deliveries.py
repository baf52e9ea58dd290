"""Delivering webhooks: a part of every worker (docs/decisions/webhooks-delivery.md)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.jobs.runs import end_tasks
from calendarsync.metrics import Metrics
from calendarsync.net import HttpClient
from calendarsync.settings import Network
from calendarsync.store import deliveries as store
from calendarsync.store import delivery_queues
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.deliveries import Delivery, End
from calendarsync.store.webhooks import seal
from calendarsync.webhooks.catalogue import instant
from calendarsync.webhooks.delivery import Sender
from calendarsync.webhooks.retry import DELAYS, Answer, reason_to_disable, wait_for_next
from calendarsync.webhooks.turns import FAILING_AFTER, SLOW_AFTER, Queue, share_out

AT_ONCE = 256
"""How many deliveries one process has under way; half of them at most to endpoints that fail."""

MOST_AT_ONCE = 2 * AT_ONCE
"""The same with those that have been under way for a while, which take no place: their receivers may hang."""

_KEEPALIVE_SECONDS = 2.0
"""Thousands of receivers get an event now and then: connections that wait for the next would use up the files."""

_CLAIMED_AT_ONCE = 64
LEASE = timedelta(seconds=30)
"""How long a claim counts: longer than an attempt takes, so it is never renewed."""

_SWEEP_SECONDS = 10.0
"""How often it is looked at what became of endpoints that were disabled, though nothing is due."""

_ENDED_AT_ONCE = 1000

_log = structlog.get_logger(__name__)


class _ClaimLostError(Exception):
    """Somebody else makes this delivery, or it has been ended."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """`began`: by `time.monotonic()`."""

    delivery: Delivery
    began: float

    @property
    def slow(self) -> bool:
        return time.monotonic() - self.began >= SLOW_AFTER.total_seconds()


@dataclass(frozen=True, slots=True)
class Pace:
    """When what failed is tried again, and how long a claim counts."""

    delays: Sequence[timedelta] = DELAYS
    lease: timedelta = LEASE


def client_for_receivers(networks: Sequence[Network]) -> HttpClient:
    """With connections and name lookups of its own: receivers that hang take none from calendars."""
    return HttpClient(
        allowed_private_networks=networks,
        max_connections=MOST_AT_ONCE,
        max_connections_per_host=MOST_AT_ONCE,
        keepalive_seconds=_KEEPALIVE_SECONDS,
        max_lookups=AT_ONCE,
    )


class Deliverer:
    """Sends what is due. Any number of them share a database."""

    def __init__(
        self,
        db: Database,
        sender: Sender,
        *,
        pace: Pace | None = None,
        chance: Callable[[], float] = random.random,
        metrics: Metrics | None = None,
    ) -> None:
        self._db = db
        self._sender = sender
        self._pace = pace or Pace()
        self._chance = chance
        self._metrics = metrics or Metrics()
        self._sweep_at = 0.0  # by `time.monotonic()`
        self._more = self._stopping = False
        # By task: the same delivery may be claimed once more while an attempt whose claim lapsed goes on.
        self._under_way: dict[asyncio.Task[None], _Attempt] = {}
        self._later: asyncio.TimerHandle | None = None
        self.woken = asyncio.Event()

    def wake(self) -> None:
        """Something became due: look at once."""
        self.woken.set()

    async def look(self) -> None:
        """Claim what is due, as much as there is room for, and begin to send it."""
        if self._stopping:
            return
        room = min(self._places(), _CLAIMED_AT_ONCE)
        if room <= 0:
            self._look_later()
            return
        if time.monotonic() < self._sweep_at:
            async with self._db.read() as db:
                first = await delivery_queues.earliest_due(db)
            if first is None or first > self._db.now():
                return
        claimed = await self._claim(room)
        for delivery in claimed:
            task = asyncio.create_task(self._deliver(delivery), name=f"delivery {delivery.id}")
            self._under_way[task] = _Attempt(delivery, time.monotonic())
        if len(claimed) == room:
            self.wake()

    def _places(self) -> int:
        """How many are free."""
        quick = sum(not attempt.slow for attempt in self._under_way.values())
        return min(AT_ONCE - quick, MOST_AT_ONCE - len(self._under_way))

    def _look_later(self) -> None:
        """By then whatever hangs has left its place."""
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(SLOW_AFTER.total_seconds(), self._look_now)

    def _look_now(self) -> None:
        self._later = None
        self.wake()

    async def _claim(self, room: int) -> list[Delivery]:
        async with self._db.write() as db:
            now = self._db.now()
            until = now + self._pace.lease
            waiting = await delivery_queues.waiting(
                db, now, before=now - FAILING_AFTER, slow_until=until - SLOW_AFTER
            )
            ended = await self._cancel(db, [each.webhook_id for each in waiting if not each.enabled], now)
            due = [each for each in waiting if each.enabled and each.due_at <= now]
            queues = [Queue(each.webhook_id, each.in_flight, each.failing, each.slow) for each in due]
            taken = self._under_way_to({each.webhook_id for each in waiting if each.failing})
            shares = share_out(queues, room, failing_room=AT_ONCE // 2 - taken)
            claimed = await store.claim(db, shares, now, until)
        # An endpoint that got all it was given a share for may have more; it is looked at when a place is free.
        self._more = bool(queues) and (len(shares) < len(queues) or len(claimed) == sum(shares.values()))
        self._sweep_at = time.monotonic() + _SWEEP_SECONDS
        if ended >= _ENDED_AT_ONCE:
            self._sweep()
        return claimed

    @staticmethod
    async def _cancel(db: AsyncConnection, webhook_ids: Sequence[str], now: datetime) -> int:
        """End what is pending at endpoints that are disabled, a part at a time; how many."""
        ended = 0
        for webhook_id in webhook_ids:
            if ended < _ENDED_AT_ONCE:
                ended += await store.cancel(db, webhook_id, now, _ENDED_AT_ONCE - ended)
        return ended

    def _sweep(self) -> None:
        """End what is pending at endpoints that are disabled."""
        self._sweep_at = 0.0
        self.wake()

    def _under_way_to(self, webhook_ids: set[str]) -> int:
        return sum(attempt.delivery.webhook_id in webhook_ids for attempt in self._under_way.values())

    async def _deliver(self, delivery: Delivery) -> None:
        began, at = time.monotonic(), self._db.now()
        try:
            answer = await self._send(delivery)
            seconds = time.monotonic() - began
            self._metrics.count_webhook_attempt(answer.error or "delivered", seconds)
            await self._finish(delivery, answer, at, seconds)
        except _ClaimLostError:
            _log.warning("delivery_claim_lost", delivery_id=delivery.id, generation=delivery.generation)
        except DatabaseUnavailable as error:
            # It is delivered once more when its lease ends.
            _log.warning("delivery_waits_for_database", delivery_id=delivery.id, reason=str(error))
        except Exception as defect:  # noqa: BLE001 - the others go on, and this one when its lease ends
            _log.error("delivery_lost", delivery_id=delivery.id, defect=type(defect).__name__)
        task = asyncio.current_task()
        assert task is not None
        self._under_way.pop(task, None)
        if self._more:
            self.wake()

    async def _send(self, delivery: Delivery) -> Answer:
        try:
            return await self._sender.send(delivery)
        except Exception as defect:  # noqa: BLE001 - a defect of ours is tried again later, as any failure is
            _log.error("delivery_failed", delivery_id=delivery.id, defect=type(defect).__name__)
            return Answer(error="server_error")

    async def _finish(self, delivery: Delivery, answer: Answer, at: datetime, seconds: float) -> None:
        reason = None
        async with self._db.write() as db:
            now = self._db.now()
            # The endpoint before its delivery: whoever deletes it locks them in this order.
            if answer.delivered:
                await store.note_success(db, delivery)
            else:
                since = await store.note_failure(db, delivery, now)
                reason = reason_to_disable(answer, since, now) if since is not None else None
                if reason is not None:
                    await store.disable(db, delivery, reason, now)
            if not await store.finish(db, delivery, self._end(delivery, answer, at, now, seconds)):
                raise _ClaimLostError
        if reason is not None:
            _log.warning(
                "webhook_disabled",
                webhook_id=delivery.webhook_id,
                account_id=delivery.account_id,
                reason=reason,
            )
            self._sweep()

    def _end(self, delivery: Delivery, answer: Answer, at: datetime, now: datetime, seconds: float) -> End:
        made = len(delivery.attempts) + 1
        wait = None if answer.delivered else wait_for_next(answer, made, self._chance(), self._pace.delays)
        text = answer.body.decode(errors="replace")
        return End(
            delivered=answer.delivered,
            attempt={
                "at": instant(at),
                "duration_ms": round(seconds * 1000),
                "status_code": answer.status,
                "error": answer.error,
            },
            response_encrypted=seal(self._sender.keyring, delivery.id, text) if text else None,
            next_attempt_at=None if wait is None else now + wait,
        )

    async def mind_the_clock(self) -> None:
        """It was set back, and has put off by as much what was to be sent at once."""
        async with self._db.write() as db:
            now = self._db.now()
            await store.pull_in(db, now, now + self._pace.lease)
        self.wake()

    async def drain(self, patience: float) -> None:
        """Begin nothing more; let what is under way come to its end for so many seconds, and break off the rest."""
        self._stopping = True
        if self._later is not None:
            self._later.cancel()
        await end_tasks(list(self._under_way), patience)

    async def give_back_all(self) -> None:
        """What did not come to its end is due at once, for whoever comes next; where that fails it lapses."""
        left = [attempt.delivery for attempt in self._under_way.values()]
        if left:
            with suppress(DatabaseUnavailable):
                async with self._db.write() as db:
                    await store.give_back(db, left, self._db.now())
