"""Taking back a pair's last run (rule 21): what is planned in `sync.undo`, done."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import Row

from calendarsync.domain.link import Direction
from calendarsync.store.runs import last_that_wrote, operations_of
from calendarsync.store.schedule import PairRecord
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.actions import FlowInput
from calendarsync.sync.flows import MAX_ATTEMPTS, Flows
from calendarsync.sync.report import LATEST, PAIR_GONE, Order, RunError, not_the_last
from calendarsync.sync.undo import Done, plan_undo


async def take_back(flows_of: Flows, order: Order) -> None:
    """Take back the run. The pair is paused: else the next run would do it all again.

    Raises ConnectionFailed, ClaimLost; what was done is in the ending.
    """
    pair, ending = flows_of.pair, flows_of.ending
    async with flows_of.reader.db.read() as db:
        last = await last_that_wrote(db, Tenant(pair.account_id, pair.mode), pair.id)
        steps = [] if last is None else await operations_of(db, last.id)
    ending.error = _why_not(pair, order, last.sync_id if last else None)
    if last is None or ending.error is not None:
        return
    ending.undid = last.sync_id
    went = {Direction(step.direction) for step in steps}
    for attempt in range(MAX_ATTEMPTS):
        sides = await flows_of.read(again=attempt > 0)
        flows = await flows_of.load(sides, beside=went)
        plans = [await asyncio.to_thread(plan_undo, flow, _done(steps, flow)) for flow in flows]
        ending.add_plans(plans)
        if order.dry_run:
            ending.add_intentions(plans)
            return
        await flows_of.raise_for(await flows_of.apply(flows, plans, sides))
        if not ending.again:
            return


def _why_not(pair: PairRecord, order: Order, last: str | None) -> RunError | None:
    if pair.removal is not None:
        return PAIR_GONE
    if pair.status != "paused" and not order.dry_run:
        return RunError("conflict", "the pair was resumed before its run could be undone")
    why_not = not_the_last(order.undo or LATEST, last)
    return None if why_not is None else RunError("conflict", why_not)


def _done(rows: Sequence[Row[tuple[object, ...]]], flow: FlowInput) -> list[Done]:
    return [
        Done(row.event_id, row.original_start, row.action, row.reason, row.copy_id)
        for row in rows
        if row.direction == flow.direction.value
    ]
