"""Whom a transaction on PostgreSQL speaks for: the second lock, below that of `owned` (store/tenancy.py).

The policies of the tables (migrations/policies.py) read it from settings that are the transaction's own. asyncpg
sends BEGIN as text, which may hold several statements, so they travel with it in one round trip.
"""

from __future__ import annotations

import re
from typing import Any

import asyncpg

from calendarsync.store.tenancy import Tenant

ENGINE = "SET LOCAL calendarsync.account = '*'"
"""All accounts' rows; no account has that id."""

# What stands in a statement's text: nothing that could end a literal.
_VALUE = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)


def settings_of(tenant: Tenant | None) -> str:
    """What makes a transaction the tenant's, or the engine's where there is none.

    Raises ValueError: no id or mode of ours.
    """
    if tenant is None:
        return ENGINE
    for value in (tenant.account_id, tenant.mode):
        if not _VALUE.fullmatch(value):
            raise ValueError("an account's id and its mode are letters, digits and underscores")
    # `str`: the mode may be an enumeration's member.
    account, mode = str(tenant.account_id), str(tenant.mode)
    return f"SET LOCAL calendarsync.account = '{account}'; SET LOCAL calendarsync.mode = '{mode}'"


class SpeakingConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """`speaks` is what `settings_of` gave, for as long as a connection of the pool is in use.

    Without it a transaction speaks for nobody, and sees no row.
    """

    speaks = ""

    async def execute(self, query: str, *given: Any, **options: Any) -> str:
        if not query.startswith("BEGIN"):
            return str(await super().execute(query, *given, **options))
        try:
            return str(await super().execute(f"{query} {self.speaks}", *given, **options))
        except asyncpg.PostgresError:
            # BEGIN itself may have passed, and nobody would end that transaction.
            self.terminate()
            raise
