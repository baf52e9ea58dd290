"""What it takes to end a claim does not grow with what is at work: its pair is found by its id, by nothing else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store import claims, quiet
from calendarsync.store.claims import Claim
from calendarsync.store.quiet import QuietEnd
from calendarsync.store.quotas import PutOff, put_off
from tests.store.test_claim_plans import make_pairs
from tests.store.test_pair_plans import statements
from tests.testbed.installation import START
from tests.testbed.memory_desk import memory_desk

LATER = START + timedelta(minutes=5)


@pytest.fixture
async def db(postgresql_database: str) -> AsyncIterator[AsyncConnection]:
    """Of a database that believes that nothing is at work, as most of its statistics are made."""
    async with memory_desk(postgresql_database) as at:
        await make_pairs(at, "some", await at.pair(), 200)
        async with at.app.db.write() as connection:
            await connection.execute(text("ANALYZE"))
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            yield connection


ENDS: Mapping[str, Callable[[AsyncConnection, Claim], Awaitable[object]]] = {
    "a fence": claims.hold_fast,
    "settled": lambda db, claim: claims.settle(db, claim, {}, release=True, next_due_at=LATER),
    "settled together": lambda db, claim: quiet._settle_all(db, [QuietEnd(claim, LATER, {})] * 2, START),
    "put off": lambda db, claim: put_off(db, [PutOff(claim, LATER, LATER)] * 2),
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_claim_ends_by_the_id_of_its_pair(db: AsyncConnection, end: str) -> None:
    async def ending() -> None:
        try:
            await ENDS[end](db, Claim("pair_gone", 1, LATER, due=True))
        except claims.ClaimLost:
            return

    ((statement, given),) = await statements(ending())
    found = (await db.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", given)).scalar_one()
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    scans = [
        each for each in _nodes(plan) if each.get("Relation Name") == "pairs" and "Scan" in each["Node Type"]
    ]
    assert scans
    assert {(each.get("Index Name"), "Index Cond" in each) for each in scans} == {("pk_pairs", True)}


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)
