"""How many logs there are, without looking at each: spans of time whose logs are counted once, when they are over.

A tenant's rows of `run_counts` cut the time into spans. Each row holds the logs of one status from its `begins_at`
until the next beginning; the last beginning opens what nobody has counted yet. A span is an hour, or as many
minutes as it takes to come to `FULL` logs, so that what has to be looked at beside the counts stays small however
many logs there are.

That the counts are exact rests on three things. Who deletes logs takes them off the counts in the same transaction
(store/retention.py), and nobody counts meanwhile. A span is counted when no transaction is left that could still
write into it. And where the clock was set back, what lies ahead of it does not count, and is forgotten before it
could be written into: within `MARGIN`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Integer, bindparam, delete, func, insert, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.columns import moment
from calendarsync.store.dialects import minute_of, oldest_transaction, one_at_a_time, with_others
from calendarsync.store.logs import STATUSES, LogFilter
from calendarsync.store.run_tables import run_counts, runs
from calendarsync.store.tenancy import Tenant, owned

FULL = 2_000
"""As many logs make a span that is shorter than an hour; it ends with their minute."""

MANY = 100_000
"""A day of more logs is counted an hour at a time: no statement may take for ever."""

MARGIN = timedelta(minutes=2)
"""A run is logged with the time at which its transaction was about to begin, and that may have waited."""

COUNTS_LOCK = 0x72_75_6E_5F_63_6E_74
"""Held by who deletes logs; shared by all who count some."""

_MINUTE, _HOUR, _STEP = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_NEVER, _EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)

_begins = run_counts.c.begins_at
_at = runs.c.created_at
_statuses: Any = bindparam("statuses", expanding=True)


def _looked_at(since: str, until: str, *, at_most: str | None = None) -> ColumnElement[int]:
    """How many logs of a range there are, counted one by one, or up to a number."""
    found = select(literal(1)).where(
        owned(runs), runs.c.status.in_(_statuses), _at >= moment(since), _at < moment(until)
    )
    if at_most is not None:
        found = found.limit(bindparam(at_most, type_=Integer))
    return select(func.count()).select_from(found.subquery()).scalar_subquery()


_SPANS = select(
    select(func.min(_begins)).where(owned(run_counts), _begins >= moment("since")).scalar_subquery(),
    select(func.max(_begins))
    .where(owned(run_counts), _begins >= moment("since"), _begins <= moment("until"))
    .scalar_subquery(),
)
_counted = (
    select(func.coalesce(func.sum(run_counts.c.count), 0))
    .where(owned(run_counts), run_counts.c.status.in_(_statuses))
    .where(_begins >= moment("first"), _begins < moment("last"))
    .scalar_subquery()
)
_COUNT = select(
    (_counted + _looked_at("since", "first") + _looked_at("over", "until")).label("known"),
    _looked_at("last", "over", at_most="look_at").label("uncounted"),
)
_COUNT_ALL = select((_counted + _looked_at("since", "first") + _looked_at("last", "until")).label("known"))
_MANY = select(_looked_at("since", "until", at_most="look_at"))
_LAST = select(func.max(_begins)).where(owned(run_counts))
_EARLIEST = select(
    func.min(
        union_all(
            *(
                select(
                    select(func.min(_at))
                    .where(owned(runs), runs.c.status == status, _at >= moment("since"))
                    .scalar_subquery()
                    .label("at")
                )
                for status in STATUSES
            )
        )
        .subquery()
        .c.at,
        type_=_at.type,
    )
)


def over_at(now: datetime) -> datetime:
    """Up to when nobody will log another run, to the minute."""
    return _minute(now - MARGIN)


async def count_logs(
    db: AsyncConnection, tenant: Tenant, wanted: LogFilter, now: datetime, *, at_most: int | None = None
) -> int | None:
    """How many logs of the account there are of those times and status; whose, `wanted` may not say.

    None where more than `at_most` would have to be looked at that may be counted first (`count_more`).
    """
    until = wanted.until or _EVER
    over = min(until, over_at(now))
    given: dict[str, Any] = {**tenant.parameters(), "since": wanted.since, "until": over}
    first, last = (await db.execute(_SPANS, given)).one()
    if first is None or last is None:
        first = last = wanted.since
    given |= {"first": first, "last": last, "until": until, "statuses": wanted.statuses()}
    if at_most is None:
        return int((await db.execute(_COUNT_ALL, given)).scalar_one())
    found = (await db.execute(_COUNT, given | {"over": max(over, last), "look_at": at_most + 1})).one()
    return int(found.known + found.uncounted) if found.uncounted <= at_most else None


async def count_more(db: AsyncConnection, tenant: Tenant, now: datetime) -> bool:
    """Count a day of the tenant's logs, or an hour, from where that ended before; whether there may be more."""
    await with_others(db, COUNTS_LOCK)
    await one_at_a_time(db, _key_of(tenant))
    mine, over = tenant.parameters(), over_at(now)
    last: datetime | None = (await db.execute(_LAST, mine)).scalar_one()
    if last is not None and last > over:  # the clock was set back
        await _forget(db, tenant, over + _MINUTE)
        return True
    oldest = await oldest_transaction(db)
    if oldest is not None:
        over = min(over, over_at(oldest))
    earliest = (await db.execute(_EARLIEST, mine | {"since": last or _NEVER})).scalar_one()
    if earliest is None:
        return False
    since = max(_hour(earliest), last or _hour(earliest))
    until = min(since + _STEP, over)
    if until <= since:
        return False
    if until - since > _HOUR and await _are_many(db, mine | {"since": since, "until": until}):
        until = since + _HOUR
    minute = minute_of(db, _at).label("minute")
    found = await db.execute(
        select(minute, runs.c.status, func.count())
        .where(owned(runs), runs.c.status.in_(_statuses), _at >= moment("since"), _at < moment("until"))
        .group_by("minute", runs.c.status)
        .order_by("minute"),
        mine | {"since": since, "until": until, "statuses": STATUSES},
    )
    spans, end = spans_of(((row[0], row[1], row[2]) for row in found), since, until)
    if end == since:
        return False
    await _forget(db, tenant, last or since)
    opening = (end, STATUSES[0], 0)
    rows = [
        {**tenant.values(), "begins_at": begins, "status": status, "count": count}
        for begins, status, count in (*spans, opening)
    ]
    await db.execute(insert(run_counts), rows)
    return until < over


async def _are_many(db: AsyncConnection, given: Mapping[str, Any]) -> bool:
    found = await db.execute(_MANY, {**given, "statuses": STATUSES, "look_at": MANY + 1})
    return bool(found.scalar_one() > MANY)


def spans_of(
    minutes: Iterable[tuple[datetime, str, int]], since: datetime, until: datetime
) -> tuple[list[tuple[datetime, str, int]], datetime]:
    """The spans (beginning, status, logs) of a time whose minutes (beginning, status, logs) are given in order.

    And where they end: at `until`, or before, where a span would not be full and its hour is not over.
    """
    spans: list[tuple[datetime, str, int]] = []
    begins, logs = since, Counter[str]()

    def close(then: datetime) -> None:
        nonlocal begins
        spans.extend((begins, status, count) for status, count in sorted(logs.items()))
        logs.clear()
        begins = then

    for minute, group in groupby(minutes, key=itemgetter(0)):
        if _hour(minute) > begins:
            close(_hour(minute))
        for _, status, count in group:
            logs[status] += count
        if logs.total() >= FULL:
            close(minute + _MINUTE)
    if _hour(until) > begins:
        close(_hour(until))
    return spans, begins


async def _forget(db: AsyncConnection, tenant: Tenant, since: datetime) -> None:
    """What was counted from then on counts no longer."""
    gone = delete(run_counts).where(owned(run_counts), _begins >= moment("since"))
    await db.execute(gone, tenant.parameters() | {"since": since})


def _key_of(tenant: Tenant) -> int:
    """Of an advisory lock: 64 bits with a sign."""
    text = f"run_counts {tenant.account_id} {tenant.mode}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
