"""What all tables are made of."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BindParameter, DateTime, ForeignKey, MetaData, TypeDecorator, bindparam
from sqlalchemy.engine import Dialect

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC; SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime without a zone cannot be stored")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def moment(name: str) -> BindParameter[datetime]:
    """A time that is given to a statement by this name."""
    return bindparam(name, type_=UtcDateTime())


def references(table: str) -> ForeignKey:
    """A foreign key whose row goes with its parent."""
    return ForeignKey(f"{table}.id", ondelete="CASCADE")


AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""A due time that has come, whatever the clock says."""

EPOCH = "1970-01-01 00:00:00.000000"
"""The same as the default of a column, in a form that both databases read."""
