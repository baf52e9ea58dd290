"""An index of the runs that wrote, by which the one to be undone is found."""

from __future__ import annotations

from contextlib import nullcontext

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NAME = "ix_runs_wrote"
_COLUMNS = ["account_id", "mode", "pair_id", "created_at", "id"]


def upgrade() -> None:
    wrote = sa.text("events_created + events_updated + events_deleted > 0 AND undid IS NULL")
    context = op.get_context()
    with context.autocommit_block() if context.dialect.name == "postgresql" else nullcontext():
        op.drop_index(_NAME, "runs", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            _NAME,
            "runs",
            _COLUMNS,
            unique=False,
            sqlite_where=wrote,
            postgresql_where=wrote,
            postgresql_concurrently=True,
        )
