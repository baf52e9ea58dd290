"""Whose rows a query may touch: every query of a caller is bound to an account and a mode."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, and_


@dataclass(frozen=True, slots=True)
class Tenant:
    """`mode` is `live` or `test`: two worlds of one account that know nothing of each other."""

    account_id: str
    mode: str

    def owns(self, table: Table) -> ColumnElement[bool]:
        """The condition that rows of `table` are this tenant's; the table has `account_id` and `mode`."""
        return and_(table.c.account_id == self.account_id, table.c.mode == self.mode)

    def values(self) -> dict[str, str]:
        """The columns of a new row that is this tenant's."""
        return {"account_id": self.account_id, "mode": self.mode}
