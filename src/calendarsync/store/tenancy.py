"""Whose rows a query may touch, and what every table says of it; tests/store/test_tenancy.py walks all queries.

What serves a caller binds each table that it names with `owned`, and is executed with `Tenant.parameters()`. What
serves the engine works for all accounts, by ids that a claim gave it. On PostgreSQL the policies of the tables are
a second lock (postgresql_tenancy.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, FromClause, Table, and_, bindparam

from calendarsync.store import tables

ACCOUNT, MODE = "tenant_account", "tenant_mode"
"""The names of the bound parameters."""

OWNED = frozenset(
    {
        *(
            tables.connections,
            tables.pairs,
            tables.orders,
            tables.runs,
            tables.run_counts,
            tables.idempotency,
        ),
        *(tables.webhooks, tables.webhook_events, tables.deliveries),
        *(tables.sandbox_calendars, tables.sandbox_events),
        *(tables.delegations, tables.grants, tables.authorizations, tables.channels),
    }
)
"""Rows are an account's, in one mode."""

OF_ACCOUNT = frozenset({tables.api_keys, tables.members})
"""Rows are an account's; it sees those of both modes."""

OF_PARENT: Mapping[Table, str] = {
    tables.index: "connection_id",
    tables.links: "pair_id",
    tables.failures: "pair_id",
    tables.operations: "run_id",
    tables.kept_copies: "calendar_key",
}
"""Rows are whose the parent is that this column names; a calendar may be connected in several accounts."""

OF_INSTALLATION = frozenset(
    {
        *(tables.installation, tables.accounts, tables.users, tables.sessions),
        *(tables.rate_windows, tables.provider_quotas),
    }
)


@dataclass(frozen=True, slots=True)
class Tenant:
    """`mode` is `live` or `test`: two worlds of one account that know nothing of each other."""

    account_id: str
    mode: str

    def values(self) -> dict[str, str]:
        """The columns of a new row that is this tenant's."""
        return {"account_id": self.account_id, "mode": self.mode}

    def parameters(self) -> dict[str, str]:
        """What a statement with `owned` in it is executed with; without, SQLAlchemy refuses it."""
        return {ACCOUNT: self.account_id, MODE: self.mode}


def owned(table: FromClause) -> ColumnElement[bool]:
    """The condition that rows of `table`, one of `OWNED` or its alias, are the tenant's."""
    return and_(of_account(table), table.c.mode == bindparam(MODE))


def of_account(table: FromClause) -> ColumnElement[bool]:
    """The condition that rows of `table` are the tenant's account's, in either mode."""
    return table.c.account_id == bindparam(ACCOUNT)
