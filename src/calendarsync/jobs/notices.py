"""Notices of changes, from whoever sends them: which are genuine, and what follows (docs/decisions/push.md)."""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Row

from calendarsync.jobs.bursts import Bursts
from calendarsync.jobs.runs import end_tasks
from calendarsync.secrets import Keyring
from calendarsync.store.channels import notified
from calendarsync.store.database import Database

ANSWER_SECONDS = 0.08
"""How long who sends a notice waits for the database; after that it is judged later, whatever comes of it."""

MOST_WAITING = 1_000
"""How many requests wait to be judged, at most."""

MOST_NOTICES_WAITING = 20_000
"""How many notices they hold together: some tens of megabytes, whatever anybody sends."""

AUTHORIZED_FOR = timedelta(minutes=10)
"""A channel that is to be authorized anew may pause at any time; for so long it counts, if that fails."""

_REMEMBERED = 10_000
_NOBODY = "0" * 64  # as long as a hash, and none

_log = structlog.get_logger(__name__)


class About(Enum):
    """What a notice tells."""

    NOTHING = "nothing"  # but that the channel is there
    CHANGE = "change"
    REAUTHORIZE = "reauthorize"  # the provider wants to be asked once more, or will send nothing
    REMOVED = "removed"  # the provider has ended the channel, and may have left out changes


@dataclass(frozen=True, slots=True)
class Notice:
    """`channel` is its name with the provider, `token` what proves that the provider sends it.

    `number` grows from notice to notice of a channel; None where they are not numbered.
    """

    channel: str
    token: str = field(repr=False)
    about: About = About.CHANGE
    number: int | None = None


class TooManyNotices(Exception):  # noqa: N818 - it tells what happened
    """The database is slow, and enough wait for it already."""


class Notices:
    """Judges notices, and hands on what the genuine ones tell."""

    def __init__(self, db: Database, keyring: Keyring, bursts: Bursts) -> None:
        self._db = db
        self._keyring = keyring
        self._bursts = bursts
        self._waiting: set[asyncio.Task[bool]] = set()
        self._notices_waiting = 0
        self._numbers: OrderedDict[str, int] = OrderedDict()

    async def take(self, provider: str, notices: Sequence[Notice]) -> bool:
        """Whether any of them is genuine, or the database has not told in ANSWER_SECONDS; no run is waited for.

        Raises TooManyNotices, DatabaseUnavailable.
        """
        number = len(notices)
        if len(self._waiting) >= MOST_WAITING or self._notices_waiting + number > MOST_NOTICES_WAITING:
            raise TooManyNotices
        task = asyncio.create_task(self._judge(provider, notices), name=f"notices of {provider}")
        self._waiting.add(task)
        self._notices_waiting += number
        task.add_done_callback(partial(self._judged, number))
        done, _ = await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        return task.result() if done else True

    def _judged(self, number: int, task: asyncio.Task[bool]) -> None:
        self._waiting.discard(task)
        self._notices_waiting -= number
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("notice_not_judged", error=type(error).__name__)

    async def stop(self, patience: float) -> None:
        """Judge what has come, and order what follows, in so many seconds each."""
        await end_tasks(list(self._waiting), patience)
        await self._bursts.stop(patience)

    async def _judge(self, provider: str, notices: Sequence[Notice]) -> bool:
        # The same work for all: whether there is such a channel, and whose the token is, shows in no duration.
        hashes = [self._keyring.channel_hashes(notice.token) for notice in notices]
        async with self._db.read() as db:
            rows = await notified(db, provider, {notice.channel for notice in notices})
        found = {row.name: row for row in rows}
        judged = [
            (notice, found.get(notice.channel), self._is_genuine(found, notice, mine))
            for notice, mine in zip(notices, hashes, strict=True)
        ]
        for notice, channel, genuine in judged:
            if genuine and channel is not None:
                self._follow(notice, channel)
        return any(genuine for _, _, genuine in judged)

    def _is_genuine(self, found: Mapping[str, Row[Any]], notice: Notice, hashes: Sequence[str]) -> bool:
        channel = found.get(notice.channel)
        expected = _NOBODY if channel is None else channel.token_hash
        equal = [hmac.compare_digest(expected, mine) for mine in hashes]
        return any(equal) and channel is not None and channel.expires_at > self._db.now()

    def _follow(self, notice: Notice, channel: Row[Any]) -> None:
        if channel.status == "expired" or self._came_before(notice):
            return
        match notice.about:
            case About.CHANGE:
                self._bursts.add(channel.connection_id)
            case About.REAUTHORIZE:
                self._bursts.add(channel.connection_id, changed=False, counts_for=AUTHORIZED_FOR)
            case About.REMOVED:
                self._bursts.add(channel.connection_id, counts_for=timedelta())

    def _came_before(self, notice: Notice) -> bool:
        """Whether this notice, or a later one of its channel, has been followed by this process already."""
        if notice.number is None:
            return False
        last = self._numbers.pop(notice.channel, 0)
        self._numbers[notice.channel] = max(last, notice.number)
        if len(self._numbers) > _REMEMBERED:
            self._numbers.popitem(last=False)
        return notice.number <= last
