"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from calendarsync.store.migrations.policies import OF_ACCOUNT, OWNED, protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("plan", sa.String(length=20), nullable=False),
        sa.Column("trial_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("email", name=op.f("uq_accounts_email")),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("secret_check", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "kept_copies",
        sa.Column("calendar_key", sa.String(length=64), nullable=False),
        sa.Column("copy_id", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("calendar_key", "copy_id", name=op.f("pk_kept_copies")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("display", sa.String(length=40), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_api_keys_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_index(op.f("ix_api_keys_account_id"), "api_keys", ["account_id"], unique=False)
    op.create_table(
        "connections",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("calendar_id", sa.String(length=2000), nullable=False),
        sa.Column("calendar_key", sa.String(length=64), nullable=False),
        sa.Column("grant_hash", sa.String(length=64), nullable=False),
        sa.Column("calendar_name", sa.String(length=500), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("timezone", sa.String(length=64), nullable=True),
        sa.Column("owner_addresses", sa.JSON(), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("credentials_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("last_error_code", sa.String(length=50), nullable=True),
        sa.Column("last_error_message", sa.String(length=500), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cursor", sa.String(), nullable=True),
        sa.Column("index_version", sa.Integer(), nullable=False),
        sa.Column("emptied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_connections_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connections")),
        sa.UniqueConstraint(
            "account_id", "mode", "calendar_key", name=op.f("uq_connections_account_id_mode_calendar_key")
        ),
    )
    op.create_index(op.f("ix_connections_calendar_key"), "connections", ["calendar_key"], unique=False)
    op.create_index(op.f("ix_connections_grant_hash"), "connections", ["grant_hash"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("sync_id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("pair_id", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("trigger", sa.String(length=20), nullable=False),
        sa.Column("events_processed", sa.Integer(), nullable=False),
        sa.Column("events_created", sa.Integer(), nullable=False),
        sa.Column("events_updated", sa.Integer(), nullable=False),
        sa.Column("events_deleted", sa.Integer(), nullable=False),
        sa.Column("events_skipped", sa.Integer(), nullable=False),
        sa.Column("provider_requests", sa.Integer(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(length=50), nullable=True),
        sa.Column("error_message", sa.String(length=500), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_runs_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("sync_id", name=op.f("uq_runs_sync_id")),
    )
    op.create_index(
        "ix_runs_account_id_mode_created_at", "runs", ["account_id", "mode", "created_at"], unique=False
    )
    op.create_index("ix_runs_pair_id_created_at", "runs", ["pair_id", "created_at"], unique=False)
    op.create_table(
        "event_index",
        sa.Column("connection_id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=1000), nullable=False),
        sa.Column("original", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=500), nullable=True),
        sa.Column("uid", sa.String(length=1000), nullable=False),
        sa.Column("problem", sa.String(length=40), nullable=True),
        sa.Column("shape", sa.JSON(), nullable=False),
        sa.Column("content_hash", sa.String(length=32), nullable=False),
        sa.Column("people_hash", sa.String(length=32), nullable=False),
        sa.Column("mark", sa.String(length=400), nullable=True),
        sa.Column("changed_in", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_event_index_connection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("connection_id", "resource_id", "original", name=op.f("pk_event_index")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_event_index_uid"), "event_index", ["uid"], unique=False)
    op.create_table(
        "operations",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column("event_id", sa.String(length=1000), nullable=False),
        sa.Column("original_start", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=50), nullable=False),
        sa.Column("copy_id", sa.String(length=100), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_operations_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "position", name=op.f("pk_operations")),
    )
    op.create_table(
        "pairs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("connection_a_id", sa.String(length=40), nullable=False),
        sa.Column("connection_b_id", sa.String(length=40), nullable=False),
        sa.Column("sync_mode", sa.String(length=20), nullable=False),
        sa.Column("direction", sa.String(length=20), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("attention_code", sa.String(length=50), nullable=True),
        sa.Column("attention_message", sa.String(length=500), nullable=True),
        sa.Column("resume_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("calendar_a", sa.String(length=64), nullable=False),
        sa.Column("calendar_b", sa.String(length=64), nullable=False),
        sa.Column("removal", sa.String(length=10), nullable=True),
        sa.Column("quiet_state", sa.String(length=200), nullable=True),
        sa.Column("quiet_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_pairs_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["connection_a_id"], ["connections.id"], name=op.f("fk_pairs_connection_a_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["connection_b_id"], ["connections.id"], name=op.f("fk_pairs_connection_b_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pairs")),
    )
    op.create_index(op.f("ix_pairs_account_id"), "pairs", ["account_id"], unique=False)
    op.create_index(op.f("ix_pairs_connection_a_id"), "pairs", ["connection_a_id"], unique=False)
    op.create_index(op.f("ix_pairs_connection_b_id"), "pairs", ["connection_b_id"], unique=False)
    _partial_index("ix_pairs_due_at", "pairs", ["due_at"], "leased_until IS NULL")
    _partial_index("ix_pairs_leased_until", "pairs", ["leased_until"], "leased_until IS NOT NULL")
    op.create_table(
        "orders",
        sa.Column("sync_id", sa.String(length=40), nullable=False),
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("pair_id", sa.String(length=40), nullable=False),
        sa.Column("trigger", sa.String(length=20), nullable=False),
        sa.Column("full", sa.Boolean(), nullable=False),
        sa.Column("confirm", sa.Boolean(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("report", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_orders_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sync_id", name=op.f("pk_orders")),
    )
    op.create_index(op.f("ix_orders_finished_at"), "orders", ["finished_at"], unique=False)
    _partial_index("ix_orders_pair_id", "orders", ["pair_id"], "finished_at IS NULL")
    _partial_index(
        "uq_orders_pair_id_dry_run", "orders", ["pair_id", "dry_run"], "generation IS NULL", unique=True
    )
    op.create_table(
        "failures",
        sa.Column("pair_id", sa.String(length=40), nullable=False),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column("source_resource", sa.String(length=1000), nullable=False),
        sa.Column("source_original", sa.String(length=100), nullable=False),
        sa.Column("code", sa.String(length=50), nullable=False),
        sa.Column("tried_hash", sa.String(length=32), nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["pair_id"], ["pairs.id"], name=op.f("fk_failures_pair_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "pair_id", "direction", "source_resource", "source_original", name=op.f("pk_failures")
        ),
    )
    op.create_table(
        "links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pair_id", sa.String(length=40), nullable=False),
        sa.Column("direction", sa.String(length=10), nullable=False),
        sa.Column("source_resource", sa.String(length=1000), nullable=False),
        sa.Column("source_original", sa.String(length=100), nullable=False),
        sa.Column("source_uid", sa.String(length=1000), nullable=False),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.Column("target_calendar", sa.String(length=64), nullable=False),
        sa.Column("copy_id", sa.String(length=100), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("written_hash", sa.String(length=32), nullable=True),
        sa.Column("copy_hash", sa.String(length=32), nullable=True),
        sa.Column("times_hash", sa.String(length=32), nullable=True),
        sa.Column("rules_version", sa.String(length=32), nullable=True),
        sa.Column("restores", sa.Integer(), nullable=False),
        sa.Column("holes", sa.JSON(), nullable=False),
        sa.Column("respected", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["pair_id"], ["pairs.id"], name=op.f("fk_links_pair_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_links")),
        sa.UniqueConstraint(
            "pair_id",
            "direction",
            "source_resource",
            "source_original",
            name=op.f("uq_links_pair_id_direction_source_resource_source_original"),
        ),
    )
    op.create_index("ix_links_target_calendar_copy_id", "links", ["target_calendar", "copy_id"], unique=False)
    _protect_all()


def _protect_all() -> None:
    protect("accounts", "id = current_setting('calendarsync.account', true)")
    protect("api_keys", OF_ACCOUNT)
    protect("connections", OWNED)
    # Foreign keys look past the policies, and would take a connection of somebody else. Compared with one row,
    # not EXISTS, for which PostgreSQL may read the whole table at once.
    one_of_its_own = "{end} = (SELECT own.id FROM connections own WHERE own.id = {end})"
    ends = (one_of_its_own.format(end=f"connection_{side}_id") for side in "ab")
    protect("pairs", OWNED, written=" AND ".join(ends))
    protect("orders", OWNED)
    protect("runs", OWNED)
    for table in ("event_index", "links", "failures", "kept_copies"):
        protect(table)
