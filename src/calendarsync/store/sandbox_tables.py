"""The tables of the sandbox: made-up calendars, and their events."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Index, Integer, String, Table

from calendarsync.store.columns import UtcDateTime, metadata, references

sandbox_calendars = Table(
    "sandbox_calendars",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("name", String(500), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("email", String(320)),
    Column("created_at", UtcDateTime, nullable=False),
    # Moves on with every change of its events, whose versions it gives.
    Column("version", Integer, nullable=False),
    # Sync tokens of another epoch are not known any more.
    Column("epoch", Integer, nullable=False),
    # One object for each fault that is to happen: its kind, and how often.
    Column("faults", JSON, nullable=False),
    Index("ix_sandbox_calendars_account_id_mode", "account_id", "mode"),
)

sandbox_events = Table(
    "sandbox_events",
    metadata,
    Column("calendar_id", references("sandbox_calendars"), primary_key=True),
    Column("id", String(100), primary_key=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("uid", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    # A deleted event stays, so that a sync token can name it.
    Column("deleted", Boolean, nullable=False),
    # The one place where contents are at rest: they are made up, and only test keys reach them.
    Column("data", JSON, nullable=False),
    Index("ix_sandbox_events_calendar_id_version", "calendar_id", "version"),
    Index("ix_sandbox_events_calendar_id_uid", "calendar_id", "uid"),
)
