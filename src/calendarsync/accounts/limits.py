"""Who makes a request, and whether it is still within what the account may ask.

Both are found out in one transaction for all requests together that arrive while another such transaction is under
way: what a request costs the database falls as their number grows, and each is still counted one by one.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity, identity_of, is_well_formed
from calendarsync.secrets import Keyring
from calendarsync.store import keys as key_store
from calendarsync.store import limits as store
from calendarsync.store.database import Database
from calendarsync.store.dialects import commit_without_waiting

WINDOW = timedelta(hours=1)
FAILURES_PER_HOUR = 100
"""Requests without a valid key from one network. One that brings a valid key always passes."""

_AT_ONCE = 100
_USE_IS_NOTED_EVERY = timedelta(minutes=1)
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a limit leaves after this request, until it `resets_at`; `exceeded`: this one was too many."""

    limit: int
    remaining: int
    resets_at: datetime
    exceeded: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    identity: Identity
    allowance: Allowance


class Gate:
    """One for each process. `now` is asked inside a transaction, when the database's clock is known."""

    def __init__(self, db: Database, keyring: Keyring, now: Callable[[], datetime]) -> None:
        self._db = db
        self._keyring = keyring
        self._now = now
        self._waiting: list[tuple[str, asyncio.Future[Admitted | None]]] = []
        self._work: asyncio.Task[None] | None = None
        self._spent: dict[str, datetime] = {}

    async def enter(self, key: str) -> Admitted | None:
        """Whose key it is, with the request counted; None where it is malformed, unknown, expired or revoked.

        Raises DatabaseUnavailable.
        """
        if not is_well_formed(key):
            return None
        answer: asyncio.Future[Admitted | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._work is None or self._work.done():
            # In a context of its own: it works for others than the request that happened to start it.
            self._work = asyncio.create_task(self._work_off(), context=Context())
        return await answer

    async def fail(self, address: str) -> Allowance:
        """Count a request without a valid key against the network that it came from, an address or its prefix.

        Raises DatabaseUnavailable.
        """
        subject = self._keyring.subject_hash("network", address)
        ends_at = self._spent.get(subject)
        # Who goes on guessing keys is to write nothing. One that ends later than it could is left to the store.
        if ends_at is not None and (now := self._now()) < ends_at <= now + WINDOW:
            return Allowance(FAILURES_PER_HOUR, 0, ends_at, exceeded=True)
        async with self._db.write() as connection:
            await commit_without_waiting(connection)
            counted = await store.count(
                connection, subject, 1, limit=FAILURES_PER_HOUR, now=self._now(), lasts=WINDOW
            )
        allowance = next(_allowances(1, FAILURES_PER_HOUR, *counted))
        if allowance.exceeded:
            if len(self._spent) >= _REMEMBERED:
                self._spent.clear()
            self._spent[subject] = allowance.resets_at
        return allowance

    async def _work_off(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
            try:
                admitted = await self._admit([key for key, _ in batch])
            except Exception as error:  # noqa: BLE001 - whatever it was, each of them has to be told
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), each in zip(batch, admitted, strict=True):
                if not answer.done():  # else its caller has gone; it is counted all the same
                    answer.set_result(each)

    async def _admit(self, keys: Sequence[str]) -> list[Admitted | None]:
        hashes = [self._keyring.key_hashes(key) for key in keys]
        async with self._db.write() as connection:
            await commit_without_waiting(connection)
            rows = await key_store.find_keys(connection, [one for each in hashes for one in each])
            now = self._now()
            found = [_owner(rows, each, now) for each in hashes]
            allowances = await _count(connection, filter(None, found), now)
            await _note_use(connection, rows, filter(None, found), now)
        return [Admitted(each, next(allowances[each.account_id])) if each else None for each in found]


def _owner(rows: Sequence[RowMapping], hashes: Sequence[str], now: datetime) -> Identity | None:
    for row in rows:
        # The database has compared them already, in a time that may tell how much of a hash was right.
        if any(hmac.compare_digest(row["key_hash"], each) for each in hashes):
            return identity_of(row, now)
    return None


async def _count(
    connection: AsyncConnection, callers: Iterable[Identity], now: datetime
) -> dict[str, Iterator[Allowance]]:
    """By account, an allowance for each of its requests."""
    requests: Counter[str] = Counter()
    limits: dict[str, int] = {}
    for each in callers:
        requests[each.account_id] += 1
        limits[each.account_id] = each.plan.requests_per_hour
    allowances = {}
    for account_id, number in sorted(requests.items()):
        limit = limits[account_id]
        counted = await store.count(connection, account_id, number, limit=limit, now=now, lasts=WINDOW)
        allowances[account_id] = _allowances(number, limit, *counted)
    return allowances


def _allowances(number: int, limit: int, before: int, resets_at: datetime) -> Iterator[Allowance]:
    """One for each of a `number` of requests, `before` which there were so many."""
    for used in range(before + 1, before + number + 1):
        yield Allowance(limit, max(0, limit - used), resets_at, exceeded=used > limit)


async def _note_use(
    connection: AsyncConnection, rows: Sequence[RowMapping], callers: Iterable[Identity], now: datetime
) -> None:
    noted = {row["id"]: row["last_used_at"] for row in rows}
    for each in sorted(set(callers), key=lambda caller: caller.key_id):
        last = noted[each.key_id]
        if last is None or now - last >= _USE_IS_NOTED_EVERY:
            await key_store.note_use(
                connection, each.tenant, each.key_id, now, since=now - _USE_IS_NOTED_EVERY
            )
