"""Ending pairs: first their copies, then their rows (rule 20)."""

from __future__ import annotations

from collections.abc import Sequence

from calendarsync.accounts.keys import Identity
from calendarsync.api.services import Services
from calendarsync.store import pairs as store
from calendarsync.store import schedule


async def remove_pairs(
    services: Services, caller: Identity, pair_ids: Sequence[str], *, keep_copies: bool, abandon: bool
) -> None:
    """Let the engine remove the pairs' copies, or make them ordinary events, and wait a while for it.

    A pair whose row is there afterwards is still being removed, and shows it. With `abandon` nothing is asked
    of any provider: the rows go at once, and the copies stay as they are.
    """
    if abandon:
        async with services.db.write() as connection:
            for pair_id in pair_ids:
                pair = await schedule.load_pair(connection, pair_id)
                if pair is not None:
                    await schedule.delete_pair(connection, pair)
        return
    if not pair_ids:
        return
    values = {"removal": "keep" if keep_copies else "remove", "dirty_since": services.now(), **store.CHANGED}
    async with services.db.write() as connection:
        for pair_id in pair_ids:
            await store.update_pair(connection, caller.account_id, caller.mode, pair_id, values)
    tickets = [services.runner.remove(pair_id) for pair_id in pair_ids]
    await services.wait_for(tickets)
