"""Indexes that give the logs of an account, of a pair and of a status in their order."""

from __future__ import annotations

from contextlib import nullcontext

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NEW = {
    "ix_runs_account_id_mode_status_created_at_id": ["account_id", "mode", "status", "created_at", "id"],
    "ix_runs_account_id_mode_pair_id_status_created_at_id": [
        *("account_id", "mode", "pair_id", "status", "created_at", "id")
    ],
}
_OLD = ("ix_runs_account_id_mode_created_at", "ix_runs_pair_id_created_at")


def upgrade() -> None:
    context = op.get_context()
    with context.autocommit_block() if context.dialect.name == "postgresql" else nullcontext():
        for name, columns in _NEW.items():
            op.drop_index(name, "runs", if_exists=True, postgresql_concurrently=True)
            op.create_index(name, "runs", columns, unique=False, postgresql_concurrently=True)
        # The version before finds its logs by the new ones as well.
        for name in _OLD:
            op.drop_index(name, "runs", if_exists=True, postgresql_concurrently=True)
