"""What filters, edits carried back, guards, undoing, explanations and latencies are remembered by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("event_index", sa.Column("verdicts", sa.JSON(), nullable=True))
    op.add_column("event_index", sa.Column("seen_at", _TIME, nullable=True))
    op.add_column("event_index", sa.Column("modified_at", _TIME, nullable=True))
    op.add_column("pairs", sa.Column("attention_details", sa.JSON(), nullable=True))
    op.add_column("links", sa.Column("copy_fields", sa.JSON(), nullable=True))
    op.add_column("links", sa.Column("propagating", sa.String(length=64), nullable=True))
    op.add_column("orders", sa.Column("undo", sa.String(length=40), nullable=True))
    op.add_column("runs", sa.Column("undid", sa.String(length=40), nullable=True))
    op.add_column("links", sa.Column("pending_since", _TIME, nullable=True))
    op.add_column("links", sa.Column("hops", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("links", sa.Column("accepted", sa.String(length=50), nullable=True))
    op.add_column("operations", sa.Column("latency_ms", sa.Integer(), nullable=True))
