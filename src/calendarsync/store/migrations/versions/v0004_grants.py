"""Grants, delegations, authorizations and channels: what Google and Microsoft are reached with."""

from __future__ import annotations

from contextlib import nullcontext

import sqlalchemy as sa
from alembic import op

from calendarsync.store.migrations.policies import OWNED, protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("accounts", sa.Column("return_urls", sa.JSON(), nullable=True))
    op.add_column("connections", sa.Column("grant_id", sa.String(length=40), nullable=True))
    op.add_column("connections", sa.Column("watch_at", _TIME, nullable=True))
    op.add_column("connections", sa.Column("watched_until", _TIME, nullable=True))
    _delegations()
    _grants()
    _authorizations()
    _channels()
    for table in ("delegations", "grants", "authorizations", "channels"):
        protect(table, OWNED)
    _indexes()


def _of_tenant() -> list[sa.Column[object]]:
    return [
        sa.Column("account_id", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=4), nullable=False),
        sa.Column("provider", sa.String(length=20), nullable=False),
    ]


def _parent(table: str, column: str, parent: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=name, ondelete="CASCADE")


def _delegations() -> None:
    op.create_table(
        "delegations",
        sa.Column("id", sa.String(length=40), nullable=False),
        *_of_tenant(),
        sa.Column("display", sa.String(length=320), nullable=False),
        sa.Column("domains", sa.JSON(), nullable=False),
        sa.Column("credentials_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        _parent("delegations", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delegations")),
    )
    op.create_index("ix_delegations_account_id_mode", "delegations", ["account_id", "mode"], unique=False)


def _grants() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.String(length=40), nullable=False),
        *_of_tenant(),
        sa.Column("delegation_id", sa.String(length=40), nullable=True),
        sa.Column("subject_hash", sa.String(length=64), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("credentials_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("leased_until", _TIME, nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        _parent("grants", "account_id", "accounts"),
        _parent("grants", "delegation_id", "delegations"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        sa.UniqueConstraint(
            *("account_id", "mode", "provider", "subject_hash"),
            name=op.f("uq_grants_account_id_mode_provider_subject_hash"),
        ),
    )
    op.create_index("ix_grants_delegation_id", "grants", ["delegation_id"], unique=False)


def _authorizations() -> None:
    op.create_table(
        "authorizations",
        sa.Column("id", sa.String(length=40), nullable=False),
        *_of_tenant(),
        sa.Column("connection_id", sa.String(length=40), nullable=False),
        sa.Column("link_hash", sa.String(length=64), nullable=False),
        sa.Column("state_hash", sa.String(length=64), nullable=False),
        sa.Column("browser_hash", sa.String(length=64), nullable=True),
        sa.Column("verifier_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("return_url", sa.String(length=2000), nullable=True),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("grant_id", sa.String(length=40), nullable=True),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        _parent("authorizations", "account_id", "accounts"),
        _parent("authorizations", "connection_id", "connections"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authorizations")),
        sa.UniqueConstraint("link_hash", name=op.f("uq_authorizations_link_hash")),
        sa.UniqueConstraint("state_hash", name=op.f("uq_authorizations_state_hash")),
    )
    for column in ("connection_id", "expires_at"):
        op.create_index(f"ix_authorizations_{column}", "authorizations", [column], unique=False)


def _channels() -> None:
    op.create_table(
        "channels",
        sa.Column("id", sa.String(length=64), nullable=False),
        *_of_tenant(),
        sa.Column("connection_id", sa.String(length=40), nullable=False),
        sa.Column("remote_id", sa.String(length=500), nullable=True),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        _parent("channels", "account_id", "accounts"),
        _parent("channels", "connection_id", "connections"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channels")),
    )
    for column in ("connection_id", "remote_id"):
        op.create_index(f"ix_channels_{column}", "channels", [column], unique=False)


def _indexes() -> None:
    """Last: on PostgreSQL they are built outside the transaction."""
    context = op.get_context()
    with context.autocommit_block() if context.dialect.name == "postgresql" else nullcontext():
        for column in ("grant_id", "watch_at"):
            name = f"ix_connections_{column}"
            where = sa.text(f"{column} IS NOT NULL")
            op.drop_index(name, "connections", if_exists=True, postgresql_concurrently=True)
            op.create_index(
                name,
                "connections",
                [column],
                unique=False,
                sqlite_where=where,
                postgresql_where=where,
                postgresql_concurrently=True,
            )
