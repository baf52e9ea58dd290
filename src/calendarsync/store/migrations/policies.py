"""Row-level security: which rows a transaction may touch, by whom it speaks for (store/postgresql_tenancy.py).

Revisions call `protect` for every table that holds what is an account's. With SQLite it does nothing.
"""

from __future__ import annotations

from alembic import op

_ENGINE = "current_setting('calendarsync.account', true) = '*'"
OF_ACCOUNT = "account_id = current_setting('calendarsync.account', true)"
OWNED = f"{OF_ACCOUNT} AND mode = current_setting('calendarsync.mode', true)"


def protect(table: str, own: str | None = None, *, written: str | None = None) -> None:
    """The engine touches all rows, a tenant those of which `own` is true: none where that is None.

    `written`: what must be true as well of a row that a tenant writes.
    """
    if op.get_context().dialect.name != "postgresql":
        return
    seen = f"{_ENGINE} OR ({own})" if own else _ENGINE
    check = f"WITH CHECK ({_ENGINE} OR ({own} AND {written}))" if written else ""
    op.execute(f"CREATE POLICY tenant ON {table} USING ({seen}) {check}")
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    # For the owner of the tables too, which is the program's role.
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
