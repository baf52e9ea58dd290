"""Windows in which requests are counted, by whoever makes them; shared by all processes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, case, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from calendarsync.store.dialects import Insert
from calendarsync.store.tables import rate_windows

_JUMP = timedelta(minutes=1)
"""A window that ends later than it could, by more than this, was begun before the clock was set back."""


def _counting(new: Insert) -> ReturningInsert[Any]:
    row = rate_windows.c
    over = or_(row.ends_at <= bindparam("now"), row.ends_at > bindparam("latest"))
    return new.on_conflict_do_update(
        index_elements=[row.subject],
        set_={
            "used": case((over, new.excluded.used), else_=row.used + new.excluded.used),
            "ends_at": case((over, new.excluded.ends_at), else_=row.ends_at),
        },
        where=or_(over, row.used < bindparam("most")),
    ).returning(row.used, row.ends_at)


# Built once: every request asks it.
_COUNT = {
    "postgresql": _counting(postgresql.insert(rate_windows)),
    "sqlite": _counting(sqlite.insert(rate_windows)),
}
_WINDOW = select(rate_windows.c.used, rate_windows.c.ends_at).where(rate_windows.c.subject == bindparam("of"))


async def count(
    db: AsyncConnection, subject: str, requests: int, *, limit: int, now: datetime, lasts: timedelta
) -> tuple[int, datetime]:
    """Count so many more `requests`: how many there were before them, and when their window ends.

    A window begins with the first request in it, and `lasts` for so long. Where there were `limit` of them before,
    nothing is counted, so that a larger limit has its effect at once. The row stays locked until the transaction
    ends: who counts several subjects does so in their order.
    """
    values = {
        "subject": subject,
        "used": requests,
        "ends_at": now + lasts,
        "now": now,
        "latest": now + lasts + _JUMP,
        "most": limit,
    }
    counted = (await db.execute(_COUNT[db.dialect.name], values)).one_or_none()
    if counted is None:
        spent = (await db.execute(_WINDOW, {"of": subject})).one()
        return spent.used, spent.ends_at
    return counted.used - requests, counted.ends_at


async def forget(db: AsyncConnection, subject: str) -> None:
    """What was counted no longer counts."""
    await db.execute(delete(rate_windows).where(rate_windows.c.subject == subject))
