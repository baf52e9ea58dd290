"""Pairs whose calendars count for a project's quota, and what they ask of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select, update

from calendarsync.jobs.quotas import Quotas
from calendarsync.providers.tokens import Access
from calendarsync.settings import Settings
from calendarsync.store.claiming import claim_due
from calendarsync.store.claims import Claim
from calendarsync.store.fairness import Places
from calendarsync.store.schedule import ConnectionRecord, PairRecord, load_claimed
from calendarsync.store.tables import connections, delegations, grants, pairs, provider_quotas
from calendarsync.sync.inputs import Looked
from tests.testbed.installation import FixedToken
from tests.testbed.memory_desk import MemoryDesk

PER_MINUTE = 75
"""Polls have four fifths: one a second."""

SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=15)


def settings(per_minute: int = PER_MINUTE) -> Settings:
    return Settings(
        google_client_id="the-app",
        microsoft_client_id="another-app",
        google_requests_per_minute=per_minute,
        microsoft_requests_per_minute=per_minute,
    )


def quotas_of(at: MemoryDesk, sent: Counter[str] | None = None, *, per_minute: int = PER_MINUTE) -> Quotas:
    """Those of one process."""
    return Quotas(at.app.db, at.app.keyring, settings(per_minute), Counter() if sent is None else sent)


async def grant(at: MemoryDesk, name: str, *, provider: str = "google", through: str | None = None) -> str:
    """A person's grant, or one `through` a delegation with that display."""
    made: dict[str, Any] = {
        "account_id": at.account,
        "mode": "live",
        "provider": provider,
        "credentials_encrypted": b"",
        "created_at": at.app.clock(),
    }
    async with at.app.db.write() as db:
        if through is not None:
            delegation = {"id": f"dlg_{name}", "display": through, "domains": []}
            await db.execute(insert(delegations).values(made | delegation))
        own: dict[str, Any] = {
            "id": f"grant_{name}",
            "delegation_id": None if through is None else f"dlg_{name}",
            "subject_hash": name,
            "email": f"{name}@example.com",
            "scopes": [],
            "status": "active",
            "generation": 0,
        }
        await db.execute(insert(grants).values(made | own))
    return f"grant_{name}"


async def granted(at: MemoryDesk, name: str, **given: Any) -> str:
    """A calendar in memory that counts as one at Google."""
    await at.add(name)
    grant_id = await grant(at, name, **given)
    access = Access(FixedToken(grant_id), "http://127.0.0.1:1")
    at.app.grants[at.connections[name]] = access
    values = {"provider": given.get("provider", "google"), "grant_id": grant_id}
    async with at.app.db.write() as db:
        mine = connections.c.id == at.connections[name]
        await db.execute(update(connections).where(mine).values(values))
    return at.connections[name]


async def polled(at: MemoryDesk, count: int, *, first: int = 0) -> list[str]:
    """Pairs of a calendar at Google and another one, which have run before and are due."""
    made = []
    for number in range(first, first + count):
        await granted(at, f"g{number}")
        await at.add(f"c{number}")
        made.append(await at.pair(f"g{number}", f"c{number}"))
    await due(at, made)
    return made


async def due(at: MemoryDesk, pair_ids: Sequence[str], **values: Any) -> None:
    """They became due one after the other, just now."""
    now = at.app.clock()
    for number, pair_id in enumerate(pair_ids, start=1 - len(pair_ids)):
        due_at = now + timedelta(milliseconds=number)
        ran = {"last_synced_at": now, "quiet_state": str(Looked(0, 0, "", "")), "due_at": due_at}
        await at.app.change_pair(pair_id, **(ran | values))


@dataclass(frozen=True)
class Taken:
    """What a worker has claimed, as it hands it to the quotas."""

    polls: Mapping[Claim, PairRecord]
    ends: Mapping[str, ConnectionRecord]

    async def ask(self, quotas: Quotas) -> set[Claim]:
        return await quotas.turns(self.polls, self.ends)


async def claim(at: MemoryDesk, room: int = 64) -> Taken:
    now = at.app.clock()
    async with at.app.db.write() as db:
        places = Places(room, room)
        taken = await claim_due(db, now, now + LEASE, places, worker="here", ahead=30 * SECOND)
        return Taken(*await load_claimed(db, taken.claims))


async def moments(at: MemoryDesk) -> dict[str, tuple[float, float]]:
    """How many seconds ahead each project's clocks are."""
    async with at.app.db.read() as db:
        rows = (await db.execute(select(provider_quotas).order_by(provider_quotas.c.project))).all()
    now = at.app.clock()
    return {
        row.project: ((row.used_at - now).total_seconds(), (row.next_at - now).total_seconds())
        for row in rows
    }


async def use(at: MemoryDesk, quotas: Quotas, sent: Counter[str], grant_id: str, calls: int) -> None:
    sent[grant_id] += calls
    await quotas.write_down()


async def turns(at: MemoryDesk, pair_ids: Collection[str]) -> list[float | None]:
    rows = [await at.app.row(pairs, pair_id) for pair_id in pair_ids]
    return [row.turn_at and (row.turn_at - at.app.clock()).total_seconds() for row in rows]
