"""`client.sync_pairs`"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from calendarsync.client._async.transport import AsyncPaged, AsyncTransport
from calendarsync.client.errors import TimedOut
from calendarsync.client.models import (
    BulkResult,
    BulkResults,
    Direction,
    Log,
    NewPair,
    PairExplained,
    PairOptions,
    SwitchResults,
    SyncMode,
    SyncPair,
    SyncPairWithLatency,
    SyncResult,
    SyncStarted,
    UndoResult,
    result_of_log,
)
from calendarsync.client.protocol import (
    UNCHANGED,
    Listing,
    Unchanged,
    delete,
    fields,
    get,
    nothing_of,
    nullable,
    part,
    patch,
    post,
    result_of,
)

_LOOK_SECONDS = 2.0


class AsyncSyncPairs:
    """Pairs of connections, and their runs. Every method may raise CalendarSyncError."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        connection_id: str | None = None,
        status: Literal["active", "paused", "error", "needs_attention"] | None = None,
        limit: int | None = None,
    ) -> AsyncPaged[SyncPair]:
        """The oldest first: all, or those with a connection at one end, or of one status.

        `limit`: how many are fetched at once, 1 to 1,000.
        """
        query = {"connection_id": connection_id, "status": status, "limit": limit}
        return AsyncPaged(self._transport, Listing(SyncPair, "/sync-pairs", "pairs", query))

    async def create(
        self,
        connection_a_id: str,
        connection_b_id: str,
        *,
        sync_mode: SyncMode,
        direction: Direction,
        options: PairOptions | None = None,
    ) -> SyncPair:
        """Pair two connections; the first run is due at once. Raises Conflict where an equal pair exists."""
        body = fields(
            connection_a_id=connection_a_id,
            connection_b_id=connection_b_id,
            sync_mode=sync_mode,
            direction=direction,
            options=options,
        )
        return await self._transport.one(SyncPair, post("/sync-pairs", body))

    async def create_many(self, pairs: Sequence[NewPair]) -> tuple[BulkResult, ...]:
        """Make up to 1,000 pairs, each for itself: one result for each, in their order.

        Given again it makes none twice, and tells those that exist.
        """
        call = post("/sync-pairs/bulk", {"pairs": [*pairs]})
        return (await self._transport.one(BulkResults, call)).results

    async def get(self, pair_id: str) -> SyncPairWithLatency:
        return await self._transport.one(SyncPairWithLatency, get(f"/sync-pairs/{part(pair_id)}"))

    async def explain(
        self, pair_id: str, *, event_id: str | None = None, at: datetime | None = None
    ) -> PairExplained:
        """Why an event is, or is not, where it was expected; or all that covers a moment. Give one of the two.

        `event_id` is an event's or a copy's id or UID. The key needs the scope `logs:read`.
        """
        call = get(f"/sync-pairs/{part(pair_id)}/explain", event_id=event_id, at=at)
        return await self._transport.one(PairExplained, call)

    async def update(
        self,
        pair_id: str,
        *,
        status: str | None = None,
        resume_at: datetime | Unchanged | None = UNCHANGED,
        sync_mode: SyncMode | None = None,
        direction: Direction | None = None,
        options: PairOptions | None = None,
    ) -> SyncPair:
        """Change what is given; `options` are merged into those of the pair, one by one.

        `status`: `paused`, with `resume_at` until then, or `active`, which also tries again a pair that an
        error or a guard stopped.
        """
        body = fields(status=status, sync_mode=sync_mode, direction=direction, options=options)
        call = patch(f"/sync-pairs/{part(pair_id)}", body | nullable(resume_at=resume_at))
        return await self._transport.one(SyncPair, call)

    async def delete(
        self, pair_id: str, *, keep_copies: bool = False, abandon: bool = False
    ) -> SyncPair | None:
        """End it and remove the copies that it made; None when it is gone, else they are still being removed.

        `keep_copies` leaves them as ordinary events; `abandon` forgets the pair at once, whatever becomes of
        them.
        """
        call = delete(f"/sync-pairs/{part(pair_id)}", keep_copies=keep_copies, abandon=abandon)
        response = await self._transport.send(call)
        if response.status_code == 202:
            return result_of(SyncPair, call, response)
        nothing_of(call, response)
        return None

    async def pause(
        self,
        *,
        pair_ids: Sequence[str] | None = None,
        all: bool | None = None,  # noqa: A002 - the name of the field
        resume_at: datetime | None = None,
    ) -> SwitchResults:
        """Pause these pairs, or `all=True` of the account and mode; with `resume_at` until then."""
        body = fields(pair_ids=pair_ids, all=all, resume_at=resume_at)
        return await self._transport.one(SwitchResults, post("/sync-pairs/pause", body))

    async def resume(
        self,
        *,
        pair_ids: Sequence[str] | None = None,
        all: bool | None = None,  # noqa: A002 - the name of the field
    ) -> SwitchResults:
        """Make paused pairs active, these or `all=True`; others stay as they are."""
        body = fields(pair_ids=pair_ids, all=all)
        return await self._transport.one(SwitchResults, post("/sync-pairs/resume", body))

    async def trigger(
        self,
        pair_id: str,
        *,
        full: bool = False,
        confirm: bool = False,
        dry_run: bool = False,
        wait_seconds: float = 300,
    ) -> SyncResult:
        """Sync now, and wait for the end. `success` is false for a run that failed or that a guard stopped.

        `full` reads everything again, `confirm` passes a guard once, `dry_run` writes nothing and lists what it
        would do. Raises Conflict while the pair is paused; TimedOut where it takes longer than `wait_seconds`,
        or a dry run longer than the server waits for it (25 s).
        """
        body = fields(full=full, confirm=confirm, dry_run=dry_run)
        call = post(f"/sync-pairs/{part(pair_id)}/trigger", body)
        response = await self._transport.send(call)
        if response.status_code != 202:
            return result_of(SyncResult, call, response)
        if dry_run:
            raise TimedOut("the dry run takes longer than the server waits, and its result is not kept")
        return result_of_log(await self.wait(result_of(SyncStarted, call, response).sync_id, wait_seconds))

    async def undo(self, pair_id: str, *, sync_id: str | None = None, dry_run: bool = False) -> UndoResult:
        """Pause the pair and take back its last run that wrote: what it created goes, what it deleted comes back.

        `sync_id`: only if that was it. Raises Conflict where there is nothing to take back, or another run wrote
        since; TimedOut where it takes longer than the server waits (25 s): it goes on, and its log tells.
        """
        body = fields(sync_id=sync_id, dry_run=dry_run)
        call = post(f"/sync-pairs/{part(pair_id)}/undo", body)
        response = await self._transport.send(call)
        if response.status_code == 202:
            raise TimedOut("undoing takes longer than the server waits; the pair's log tells what came of it")
        return result_of(UndoResult, call, response)

    async def start(self, pair_id: str, *, full: bool = False, confirm: bool = False) -> SyncStarted:
        """Ask for a run and do not wait for it; see `trigger` and `wait`."""
        body = fields(full=full, confirm=confirm)
        call = post(f"/sync-pairs/{part(pair_id)}/trigger", body, Prefer="respond-async")
        return await self._transport.one(SyncStarted, call)

    async def wait(self, sync_id: str, wait_seconds: float = 300) -> Log:
        """The log of a run, when it is done. Raises TimedOut. The key needs the scope `logs:read`."""
        listing = Listing(Log, "/logs", "logs", {"sync_id": sync_id})
        deadline = time.monotonic() + wait_seconds
        while True:
            async for log in AsyncPaged(self._transport, listing):
                return log
            if time.monotonic() > deadline:
                raise TimedOut(f"the run {sync_id} is not done yet")
            await asyncio.sleep(_LOOK_SECONDS)
