"""The program with a fence that stops nobody: python -m tests.faults.unfenced worker"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.cli import main
from calendarsync.store.claims import Claim
from calendarsync.store.tables import pairs
from calendarsync.sync import hold


async def _lock_alone(db: AsyncConnection, claim: Claim, **_: Any) -> None:
    await db.execute(select(pairs.c.id).where(pairs.c.id == claim.pair_id).with_for_update())


if __name__ == "__main__":
    hold.hold_fast = _lock_alone
    main()
