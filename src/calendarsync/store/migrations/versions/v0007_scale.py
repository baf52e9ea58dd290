"""What many pairs are shared out by: paces, turns, workers, quotas; counts of logs; and what goes in time."""

from __future__ import annotations

from contextlib import nullcontext

import sqlalchemy as sa
from alembic import op

from calendarsync.store.migrations.policies import OWNED, protect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("pairs", sa.Column("changed_at", _TIME, nullable=True))
    op.add_column("pairs", sa.Column("worker", sa.String(length=40), nullable=True))
    op.add_column("pairs", sa.Column("given", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("pairs", sa.Column("turn_at", _TIME, nullable=True))
    op.add_column("pairs", sa.Column("planned_at", _TIME, nullable=True))
    op.add_column("orders", sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("runs", sa.Column("brief", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("kept_copies", sa.Column("seen_in", sa.String(length=40), nullable=True))
    op.add_column("kept_copies", sa.Column("seen_at", _TIME, nullable=True))
    epoch = "1970-01-01 00:00:00.000000"
    op.add_column("kept_copies", sa.Column("look_at", _TIME, nullable=False, server_default=epoch))
    op.create_table(
        "provider_quotas",
        sa.Column("project", sa.String(length=100), nullable=False),
        sa.Column("used_at", _TIME, nullable=False),
        sa.Column("next_at", _TIME, nullable=False),
        sa.Column("sent_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("project", name=op.f("pk_provider_quotas")),
    )
    op.create_table(
        "run_counts",
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("begins_at", _TIME, nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_run_counts_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "mode", "begins_at", "status", name=op.f("pk_run_counts")),
    )
    protect("provider_quotas")
    protect("run_counts", OWNED)
    context = op.get_context()
    with context.autocommit_block() if context.dialect.name == "postgresql" else nullcontext():
        _index("ix_runs_brief", "runs", ["created_at"], "brief")
        columns = ["urgent", "account_id", "created_at"]
        _index("ix_orders_urgent_account_id_created_at", "orders", columns, "finished_at IS NULL")
        for column in ("calendar_a", "calendar_b", "worker"):
            _index(f"ix_pairs_{column}", "pairs", [column], "leased_until IS NOT NULL")
        _index("ix_kept_copies_look_at", "kept_copies", ["look_at"])
        for end in ("revoked_at", "expires_at"):
            _index(f"ix_api_keys_{end}", "api_keys", [end], f"{end} IS NOT NULL")


def _index(name: str, table: str, columns: list[str], where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
    op.create_index(
        name,
        table,
        columns,
        unique=False,
        sqlite_where=condition,
        postgresql_where=condition,
        postgresql_concurrently=True,
    )
