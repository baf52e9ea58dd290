"""Asking the planner what it makes of a pair as the database shows it: nothing is read anew or written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import RowMapping

from calendarsync.domain.link import Direction
from calendarsync.domain.rules import Window
from calendarsync.store.database import Database
from calendarsync.store.operations import operations_about
from calendarsync.store.schedule import ConnectionRecord, PairRecord, ahead_of, load_connection, load_pair
from calendarsync.store.tenancy import Tenant
from calendarsync.sync.explain import Explanation, Picture, Planned, Role
from calendarsync.sync.inputs import Tools, load_flows
from calendarsync.sync.plan import plan
from calendarsync.sync.reasons import REASONS, Reason

MOST_OPERATIONS = 10


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a pair as a whole from being in step. `connection_id` is None where it is the pair's own."""

    reason: str
    connection_id: str | None = None
    until: datetime | None = None

    @property
    def because(self) -> Reason:
        return REASONS[self.reason]


@dataclass(frozen=True, slots=True)
class Answer:
    """`window` is the span that is kept in step, `operations` what runs did about the event in question."""

    explanations: Sequence[Explanation]
    troubles: Sequence[Trouble]
    window: Window
    operations: Sequence[RowMapping]


async def explain(
    db: Database, pair_id: str, tools: Tools, question: str | datetime, *, now: datetime, logs_since: datetime
) -> Answer | None:
    """About an event, by its id, or about a moment; None where the pair is gone.

    The caller has seen to it that whoever asks may see the pair. `now` is by the clock that all accounts share.
    """
    operations: Sequence[RowMapping] = ()
    async with db.read() as connection:
        pair = await load_pair(connection, pair_id)
        if pair is None:
            return None
        a = await load_connection(connection, pair.connection_a_id)
        b = await load_connection(connection, pair.connection_b_id)
        ahead = await ahead_of(connection, pair)
        flows = await load_flows(connection, pair, (a, b), tools, now=now + ahead, adopt_foreign=False)
        if isinstance(question, str):
            tenant = Tenant(pair.account_id, pair.mode)
            operations = await operations_about(
                connection, tenant, pair_id, question, logs_since, at_most=MOST_OPERATIONS
            )

    def answer() -> Sequence[Explanation]:
        picture = Picture([Planned(flow, plan(flow)) for flow in flows])
        return picture.about(question) if isinstance(question, str) else picture.at(question)

    # Planning is pure and takes its time with thousands of events: others are served meanwhile.
    found = await asyncio.to_thread(answer)
    if isinstance(question, str) and not found:
        found = [_unknown(question, (a, b), operations)]
    return Answer(found, list(_troubles(pair, (a, b), now, ahead)), flows[0].scene.window, operations)


def _unknown(
    event_id: str, sides: Sequence[ConnectionRecord], operations: Sequence[RowMapping]
) -> Explanation:
    """What is in neither calendar, and in no record of the pair: what the log says of it, if anything."""
    never_read = any(side.cursor is None for side in sides)
    nowhere = Explanation(event_id, Role.SOURCE, "none", "never_read" if never_read else "not_in_index", None)
    last = operations[0] if operations else None
    if last is None or last["action"] != "delete" or last["reason"] not in REASONS:
        return nowhere
    is_copy = last["copy_id"] == event_id
    return replace(
        nowhere,
        role=Role.COPY if is_copy else Role.SOURCE,
        reason=last["reason"],
        direction=Direction(last["direction"]),
        original=last["original_start"],
        copy_id=last["copy_id"],
        source_id=last["event_id"] if is_copy else None,
    )


def _troubles(
    pair: PairRecord, sides: Sequence[ConnectionRecord], now: datetime, ahead: timedelta
) -> Iterator[Trouble]:
    if pair.removal:
        yield Trouble("being_removed")
    elif pair.status == "paused":
        yield Trouble("pair_paused", until=pair.resume_at + ahead if pair.resume_at else None)
    if pair.attention_code:
        yield Trouble(pair.attention_code)
    if pair.last_synced_at is None:
        yield Trouble("never_synced")
    for side in sides:
        waits = side.not_before if side.not_before is not None and side.not_before > now else None
        if side.status == "expired" or side.last_error_code:
            yield Trouble(side.last_error_code or "not_authorized", side.id, waits)
        elif waits is not None:
            yield Trouble("provider_rate_limited", side.id, waits)
