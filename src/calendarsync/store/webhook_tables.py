"""The tables of webhooks: endpoints, events, and the deliveries of these to those."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Index, Integer, LargeBinary, String, Table

from calendarsync.store.columns import UtcDateTime, metadata, references

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    # An address may hold a secret, as Slack's do.
    Column("url_encrypted", LargeBinary, nullable=False),
    Column("events", JSON, nullable=False),
    Column("format", String(10), nullable=False),
    Column("only_changed", Boolean, nullable=False),
    Column("status", String(20), nullable=False),
    Column("disabled_reason", String(50)),
    Column("disabled_at", UtcDateTime),
    Column("secret_encrypted", LargeBinary, nullable=False),
    Column("previous_secret_encrypted", LargeBinary),
    Column("previous_until", UtcDateTime),
    # Since when there was nothing but failure.
    Column("failing_since", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_webhooks_account_id_mode", "account_id", "mode"),
)

webhook_events = Table(
    "webhook_events",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("type", String(40), nullable=False),
    # The log or the connection as it was then: ids, times, counts and our own words.
    Column("data", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("webhook_id", references("webhooks"), nullable=False),
    Column("event_id", references("webhook_events"), nullable=False, index=True),
    Column("status", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # When it is to be tried next; None once it has come to its end.
    Column("next_attempt_at", UtcDateTime),
    # Moves on whenever it is claimed; who holds an older one writes nothing.
    Column("generation", Integer, nullable=False),
    Column("leased_until", UtcDateTime),
    # One object for each attempt: when, how long, and what came of it.
    Column("attempts", JSON, nullable=False),
    # The beginning of the last answer's body.
    Column("response_encrypted", LargeBinary),
    Index("ix_deliveries_webhook_id_created_at", "webhook_id", "created_at"),
)
_pending = deliveries.c.next_attempt_at.is_not(None)
Index(
    "ix_deliveries_next_attempt_at",
    deliveries.c.next_attempt_at,
    sqlite_where=_pending,
    postgresql_where=_pending,
)
Index(
    "ix_deliveries_webhook_id_next_attempt_at",
    deliveries.c.webhook_id,
    deliveries.c.next_attempt_at,
    sqlite_where=_pending,
    postgresql_where=_pending,
)
_under_way = deliveries.c.leased_until.is_not(None)
Index(
    "ix_deliveries_webhook_id_leased_until",
    deliveries.c.webhook_id,
    deliveries.c.leased_until,
    sqlite_where=_under_way,
    postgresql_where=_under_way,
)
