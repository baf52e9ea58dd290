"""Bytes of a row with its indexes, by table: `python -m benchmarks.scale.rows` prints `row_bytes` of costs.py.

What a pair between the models of Google and Microsoft leaves behind is multiplied in PostgreSQL, each time with ids
and hashes of its own, and the tables are vacuumed. Tables that such a pair leaves empty get a row that is made up;
access and refresh token together have the lengths that are usual at the two providers.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from tests.testbed.desk import desk
from tests.testbed.events import event
from tests.testbed.google import running as running_google
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.microsoft import Model as MicrosoftModel
from tests.testbed.microsoft_keeper import MicrosoftKeeper
from tests.testbed.postgresql import QUICK, PostgresqlServer, run_postgresql

EVENTS = 100
"""That people have in each of the two calendars; as many copies are made in the other."""

PAIRS, LOGS = 20_000, 100_000
WITH_EVENTS = 500
"""So many of the pairs have events."""

TOKENS = {"google": 320, "microsoft": 3_200}
_SEALED = 100
"""Bytes beside the tokens: names, times, and what encryption adds."""

_PERMUTE = """
    CREATE FUNCTION another(x text, k bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE WHEN x IS NULL OR x = '' THEN x ELSE p || left(
            md5(x || k) || md5(k || x) || md5('1' || x || k) || md5('2' || x || k) || md5('3' || x || k)
            || md5('4' || x || k), length(x) - length(p)) END
        FROM (SELECT coalesce(substring(x FROM '^(?:[a-z]+_)+'), '') AS p) AS prefix
    $$
"""
_OF_ITS_OWN = re.compile(
    "id|(connection|connection_[ab]|pair|grant|webhook|event|sync|run|calendar|remote|resource|copy)_id|uid|"
    "calendar_(key|a|b)|(grant|subject|token|content|people|written|copy|times)_hash|source_(resource|uid)|origin|"
    "target_calendar"
)
"""Columns whose values differ from row to row."""

_MADE_UP = """
    UPDATE connections SET grant_id = 'grant_' || substr(id, 6);
    INSERT INTO channels (id, account_id, mode, connection_id, provider, remote_id, token_hash, expires_at,
            created_at)
        SELECT 'chan_' || substr(id, 6), account_id, mode, id, provider, md5(id), md5(id) || md5(id), now(), now()
        FROM connections;
    INSERT INTO webhooks (id, account_id, mode, url_encrypted, events, format, only_changed, status,
            secret_encrypted, created_at)
        SELECT 'whk_' || substr(id, 6), account_id, mode, '', '[]', 'json', true, 'active', '', now() FROM pairs;
    INSERT INTO webhook_events (id, account_id, mode, type, data, created_at)
        SELECT 'evt_' || substr(id, 5), account_id, mode, 'sync.completed', row_to_json(one)::json, now()
        FROM (SELECT * FROM runs ORDER BY created_at DESC LIMIT 1) AS one;
    INSERT INTO deliveries (id, account_id, mode, webhook_id, event_id, status, created_at, generation, attempts)
        SELECT 'dlv_' || substr(e.id, 5), e.account_id, e.mode, w.id, e.id, 'succeeded', now(), 1,
            '[{"at": "2026-01-01T00:00:00.000Z", "duration_ms": 87, "status": 200, "error": null}]'
        FROM webhook_events AS e, webhooks AS w;
    INSERT INTO orders (sync_id, account_id, mode, pair_id, trigger, "full", confirm, dry_run, created_at,
            generation, finished_at, report)
        SELECT sync_id, account_id, mode, pair_id, 'push', false, false, false, now(), 1, now(),
            row_to_json(one)::json
        FROM (SELECT * FROM runs ORDER BY created_at DESC LIMIT 1) AS one;
"""
_GRANT = """
    INSERT INTO grants (id, account_id, mode, provider, subject_hash, email, scopes, credentials_encrypted, status,
            generation, created_at)
        SELECT grant_id, account_id, mode, provider, md5(id) || md5(id), email,
            '["a scope of a usual length, twice"]', $1, 'active', 1, now()
        FROM connections WHERE provider = $2
"""
_SIZES = """
    SELECT relname, round(pg_total_relation_size(relid)::numeric / n_live_tup)::int FROM pg_stat_user_tables
    WHERE relname = ANY ($1) ORDER BY relname
"""
_BY_PAIR = ("connections", "pairs", "grants", "channels", "event_index", "links")
_EVENTS = ("event_index", "links")
_BY_LOG = ("runs", "operations", "webhooks", "webhook_events", "deliveries", "orders")
MEASURED = sorted({*_BY_PAIR, *_BY_LOG} - {"webhooks"})


def meeting(number: int) -> str:
    """Every eighth is a weekly series."""
    start = datetime(2026, 3, 3, 8 + number % 9, tzinfo=ZoneInfo("UTC")) + timedelta(days=number)
    extra = "RRULE:FREQ=WEEKLY;COUNT=20\n" if number % 8 == 0 else ""
    uid = f"{secrets.token_hex(13)}@example.com"
    times = (f"{time:%Y%m%dT%H%M%S}" for time in (start, start + timedelta(minutes=45)))
    return event(uid, *times, title=f"Meeting {number}", extra=extra)


async def keep_a_pair(url: str, google: GoogleKeeper, microsoft: MicrosoftKeeper) -> None:
    async with desk(google, url, microsoft) as at:
        for number in range(EVENTS):
            at.put_a(f"a{number}", meeting(number))
            at.put_b(f"b{number}", meeting(number))
        pair = await at.pair(sync_mode="full", direction="bidirectional")
        for _ in range(3):
            await at.app.sync(pair)


async def multiply(connection: asyncpg.Connection[Any]) -> None:
    await connection.execute(_PERMUTE)
    await connection.execute(_MADE_UP)
    for provider, length in TOKENS.items():
        await connection.execute(_GRANT, secrets.token_bytes(length + _SEALED), provider)
    for table in _BY_PAIR:
        count = WITH_EVENTS if table in _EVENTS else PAIRS
        await connection.execute(await _copying(connection, table, count))
    # A log is of any pair; what follows from it is of that log.
    await connection.execute("DELETE FROM operations WHERE position > 0")
    await connection.execute("DELETE FROM runs WHERE id NOT IN (SELECT run_id FROM operations)")
    await connection.execute("UPDATE runs SET events_created = 0")  # most runs find nothing
    for table in _BY_LOG:
        await connection.execute(await _copying(connection, table, LOGS))
    await connection.execute("VACUUM ANALYZE")


async def _copying(connection: asyncpg.Connection[Any], table: str, count: int) -> str:
    """Each row so many times, one number `k` after the other."""
    query = (
        "SELECT column_name FROM information_schema.columns WHERE table_name = $1 AND is_identity = 'NO' "
        "AND coalesce(column_default, '') NOT LIKE 'nextval%' ORDER BY ordinal_position"
    )
    names = [row["column_name"] for row in await connection.fetch(query, table)]
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(_value(table, name) for name in names)
    return (
        f"INSERT INTO {table} ({columns}) SELECT {values} "
        f"FROM generate_series(1, {count}) AS k, {table} AS it ORDER BY k"
    )


def _value(table: str, name: str) -> str:
    if name == "pair_id" and table in _BY_LOG:
        return f"another(it.pair_id, 1 + k * 7919 % {PAIRS})"
    if name == "created_at" and table in _BY_LOG:
        return "it.created_at + k * interval '1 s'"
    return f"another(it.{name}, k)" if _OF_ITS_OWN.fullmatch(name) else f'it."{name}"'


def measure(server: PostgresqlServer) -> dict[str, int]:
    url = server.make_database()
    microsoft = MicrosoftModel().start()
    try:
        with running_google() as google:
            asyncio.run(keep_a_pair(url, GoogleKeeper(google), MicrosoftKeeper(microsoft)))
    finally:
        microsoft.stop()

    async def sizes() -> dict[str, int]:
        connection = await asyncpg.connect(server.as_administrator(url))
        await multiply(connection)
        found = dict(await connection.fetch(_SIZES, MEASURED))
        await connection.close()
        return found

    return asyncio.run(sizes())


def main() -> None:
    with run_postgresql(None, QUICK | {"shared_buffers": "256MB"}) as server:
        for table, size in measure(server).items():
            print(f'        "{table}": {size},')


if __name__ == "__main__":
    main()
