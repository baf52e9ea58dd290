"""The tables of what people and organisations have granted: tokens, keys, links, subscriptions."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from calendarsync.store.columns import UtcDateTime, metadata, references

delegations = Table(
    "delegations",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("provider", String(20), nullable=False),
    # What may be shown of it: a service account's address, an application's id.
    Column("display", String(320), nullable=False),
    # The domains whose people it may be used for, in lower case.
    Column("domains", JSON, nullable=False),
    # A service account's key; an application's secret or certificate.
    Column("credentials_encrypted", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_delegations_account_id_mode", "account_id", "mode"),
)

grants = Table(
    "grants",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("provider", String(20), nullable=False),
    # Where an organisation granted it for its people; None where a person did.
    Column("delegation_id", references("delegations"), index=True),
    # Of whom the provider says it is: with it a person who comes again is known.
    Column("subject_hash", String(64), nullable=False),
    Column("email", String(320), nullable=False),
    Column("scopes", JSON, nullable=False),
    # Tokens, and when they end.
    Column("credentials_encrypted", LargeBinary, nullable=False),
    Column("status", String(20), nullable=False),
    # Moves on with every set of tokens; who refreshed an older one writes nothing.
    Column("generation", Integer, nullable=False),
    # Until when one worker refreshes it and the others wait.
    Column("leased_until", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("account_id", "mode", "provider", "subject_hash"),
)

authorizations = Table(
    "authorizations",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("provider", String(20), nullable=False),
    Column("connection_id", references("connections"), nullable=False, index=True),
    # Of the link that a person opens, and of the `state` that the provider sends back (RFC 6749 section 4.1).
    Column("link_hash", String(64), nullable=False, unique=True),
    Column("state_hash", String(64), nullable=False, unique=True),
    # Of the cookie of the browser that began it: another one does not end it.
    Column("browser_hash", String(64)),
    # The code verifier (RFC 7636 section 4.1).
    Column("verifier_encrypted", LargeBinary, nullable=False),
    Column("return_url", String(2000)),
    # Who has to grant it, where that was said.
    Column("email", String(320)),
    # `opened`, `redeeming`, `granted`, `done`, or `failed`, after `new`: each step is taken once.
    Column("status", String(20), nullable=False),
    # What came of it, until the person has picked calendars.
    Column("grant_id", String(40)),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
)

channels = Table(
    "channels",
    metadata,
    # With Google the channel's id; Microsoft gives ids of its own.
    Column("id", String(64), primary_key=True),
    Column("account_id", references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("connection_id", references("connections"), nullable=False, index=True),
    Column("provider", String(20), nullable=False),
    # Google's resource id, Microsoft's subscription id; None while it is being made.
    Column("remote_id", String(500), index=True),
    # Of what the provider has to send along: a channel's token, `clientState`.
    Column("token_hash", String(64), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
