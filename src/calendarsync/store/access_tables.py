"""The tables of who may do what: accounts, people, keys, and what is counted of their requests."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from calendarsync.store.columns import UtcDateTime, metadata, references

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("secret_check", String(64), nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("email", String(320), nullable=False, unique=True),
    Column("plan", String(20), nullable=False),
    Column("trial_ends_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    # How far the account's test mode is ahead of the time.
    Column("test_clock_seconds", Integer, nullable=False, server_default="0"),
    # Where people may be sent back to after they granted access.
    Column("return_urls", JSON),
)

users = Table(
    "users",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("email", String(320), nullable=False, unique=True),
    # In the form of argon2id, which names its parameters and salt; None: no sign-in by password.
    Column("password_hash", String(200)),
    Column("created_at", UtcDateTime, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("user_id", references("users"), nullable=False, index=True),
    Column("role", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("account_id", "user_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", references("users"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

rate_windows = Table(
    "rate_windows",
    metadata,
    # An account's id, or a keyed hash of whatever else is counted.
    Column("subject", String(80), primary_key=True),
    Column("ends_at", UtcDateTime, nullable=False, index=True),
    Column("used", Integer, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", references("accounts"), nullable=False, index=True),
    Column("mode", String(4), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    Column("display", String(40), nullable=False),
    Column("name", String(100)),
    Column("scopes", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    # The key that it was rotated to. Not a foreign key: it only tells.
    Column("replaced_by", String(40)),
    # To the minute: it is not worth a write for every request.
    Column("last_used_at", UtcDateTime),
)
for _end in (api_keys.c.revoked_at, api_keys.c.expires_at):
    _ends = _end.is_not(None)
    Index(f"ix_api_keys_{_end.name}", _end, sqlite_where=_ends, postgresql_where=_ends)

idempotency = Table(
    "idempotency",
    metadata,
    # Of account, mode, method, path and the key that the caller chose.
    Column("key_hash", String(64), primary_key=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("api_key_id", String(40), nullable=False),
    Column("body_hash", String(64), nullable=False),
    # The request that is to answer; only it may write the answer.
    Column("request_id", String(40), nullable=False),
    # None while the first request is being answered.
    Column("status", Integer),
    Column("answer_encrypted", LargeBinary),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)
