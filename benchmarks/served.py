"""What `BENCH=requests` asks: our server, or a bare FastAPI application on the same database.

    python -m benchmarks.served ours|bare PORT

The database is that of CALENDARSYNC_DATABASE_URL. Ours is `calendarsync serve --no-worker`, with a plan that allows
as many requests as are made here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from sqlalchemy import bindparam, case, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from calendarsync.accounts import plans
from calendarsync.accounts.plans import Plan
from calendarsync.settings import Settings, backend_of
from calendarsync.store.tables import accounts, api_keys, pairs, rate_windows

PLAN = "bench"
LIMIT = 1_000_000_000
BARE_KEY = b"of the bare application alone"
JSON = "application/json"
CONSTANT = b'{"pairs":[]}' * 20

_KEY = (
    select(api_keys, accounts.c.plan, accounts.c.trial_ends_at)
    .join_from(api_keys, accounts, accounts.c.id == api_keys.c.account_id)
    .where(api_keys.c.key_hash == bindparam("hash"))
)
_PAIRS = (
    select(pairs)
    .where(pairs.c.account_id == bindparam("account"), pairs.c.mode == bindparam("mode"))
    .order_by(pairs.c.created_at, pairs.c.id)
    .limit(1_001)
)


def hash_of(key: str) -> str:
    return hmac.new(BARE_KEY, key.encode(), hashlib.sha256).hexdigest()


def bare(url: str) -> FastAPI:
    """A key look-up, a count and a select in one transaction, as one would write it first; and constant bytes."""
    engine, count = _engine(url), _count(backend_of(url))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/bare")
    async def list_pairs(request: Request) -> Response:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        now = datetime.now(UTC)
        async with engine.begin() as connection:
            owner = (await connection.execute(_KEY, {"hash": hash_of(key)})).one_or_none()
            if owner is None or owner.revoked_at is not None:
                raise HTTPException(401)
            window = {"subject": owner.account_id, "used": 1, "ends_at": now + timedelta(hours=1), "now": now}
            used = (await connection.execute(count, window)).scalar_one()
            if used > LIMIT:
                raise HTTPException(429)
            of = {"account": owner.account_id, "mode": owner.mode}
            rows = (await connection.execute(_PAIRS, of)).mappings().all()
        # Not what FastAPI makes of a dictionary by itself, which takes longer than all the rest.
        return Response(json.dumps({"pairs": [dict(row) for row in rows]}, default=str), media_type=JSON)

    @app.get("/constant")
    async def constant() -> Response:
        return Response(CONSTANT, media_type=JSON)

    return app


def _engine(url: str) -> AsyncEngine:
    if backend_of(url) == "postgresql":
        # Row-level security shows it the rows of all accounts, as it does to the engine.
        connect = partial(asyncpg.connect, url, server_settings={"calendarsync.account": "*"})
        return create_async_engine("postgresql+asyncpg://", async_creator=connect)
    engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:", 1))

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA busy_timeout = 30000")

    return engine


def _count(backend: str) -> Any:
    new = (postgresql if backend == "postgresql" else sqlite).insert(rate_windows)
    over = rate_windows.c.ends_at <= bindparam("now")
    return new.on_conflict_do_update(
        index_elements=[rate_windows.c.subject],
        set_={
            "used": case((over, 1), else_=rate_windows.c.used + 1),
            "ends_at": case((over, new.excluded.ends_at), else_=rate_windows.c.ends_at),
        },
    ).returning(rate_windows.c.used)


def main(what: str, port: int) -> None:
    if what == "ours":
        plans.PLANS = {**plans.PLANS, PLAN: Plan(PLAN, requests_per_hour=LIMIT, log_days=90)}
        from calendarsync.cli.serve import serve

        serve(port=port, worker=False)
    else:
        uvicorn.run(bare(Settings.load().database_url), port=port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
