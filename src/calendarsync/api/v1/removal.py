"""Ending pairs: first their copies, then their rows (rule 20)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import Identity
from calendarsync.api.services import Services
from calendarsync.store import orders
from calendarsync.store import pairs as store
from calendarsync.store.claims import lock_pairs
from calendarsync.store.neighbours import beside, delete_pair
from calendarsync.store.schedule import load_pair
from calendarsync.sync.report import PAIR_GONE, RunReport, RunStatus

Judge = Callable[[AsyncConnection], Awaitable[None]]
"""Raises what is to be answered where it may not be done any more, inside the transaction that begins it."""


async def remove_pairs(
    services: Services,
    caller: Identity,
    pair_ids: Sequence[str],
    judge: Judge,
    *,
    keep_copies: bool,
    abandon: bool,
) -> None:
    """Let the engine remove the pairs' copies, or make them ordinary events, and wait a while for it.

    A pair whose row is there afterwards is still being removed, and shows it. With `abandon` nothing is asked
    of any provider: the rows go at once, and the copies stay as they are.
    """
    if abandon:
        for pair_id in pair_ids:
            await _abandon(services, caller, pair_id, judge if pair_id == pair_ids[0] else None)
        return
    if not pair_ids:
        return
    values = {"removal": "keep" if keep_copies else "remove", "due_at": services.now(), **store.CHANGED}
    async with services.db.write_as(caller.tenant) as connection:
        await judge(connection)
        for pair_id in pair_ids:
            await store.update_pair(connection, caller.tenant, pair_id, values)
    tickets = []
    for pair_id in pair_ids:
        with suppress(LookupError):  # the schedule was quicker
            tickets.append(await services.runner.trigger(caller.tenant, pair_id))
    if tickets:
        await services.wait_for(tickets)


async def _abandon(services: Services, caller: Identity, pair_id: str, judge: Judge | None) -> None:
    # The engine's: a pair of another account may mind these calendars, and is locked and made due.
    async with services.db.write() as connection:
        if await store.get_pair(connection, caller.tenant, pair_id) is None:
            return
        pair = await load_pair(connection, pair_id)
        if pair is None:
            return
        await lock_pairs(connection, pair_id, beside=beside(pair))
        if judge is not None:
            await judge(connection)
        gone = RunReport("", RunStatus.FAILED, error=PAIR_GONE)
        await orders.finish_all(connection, pair_id, gone.to_json(), services.now())
        soon = services.now() + timedelta(seconds=services.settings.poll_interval_seconds)
        await delete_pair(connection, pair, soon)
