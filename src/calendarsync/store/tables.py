"""Every table. Secrets are encrypted (`*_encrypted`) or keyed hashes (`*_hash`); contents are nowhere."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    false,
    true,
)

from calendarsync.store.columns import EPOCH, UtcDateTime, metadata
from calendarsync.store.columns import references as _references
from calendarsync.store.grant_tables import authorizations, channels, delegations, grants
from calendarsync.store.run_tables import operations, run_counts, runs

__all__ = [
    "UtcDateTime",
    "accounts",
    "api_keys",
    "authorizations",
    "channels",
    "connections",
    "delegations",
    "deliveries",
    "failures",
    "grants",
    "idempotency",
    "index",
    "installation",
    "kept_copies",
    "links",
    "members",
    "metadata",
    "operations",
    "orders",
    "pairs",
    "provider_quotas",
    "rate_windows",
    "run_counts",
    "runs",
    "sandbox_calendars",
    "sandbox_events",
    "sessions",
    "users",
    "webhook_events",
    "webhooks",
]

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
    Column("account_id", _references("accounts"), nullable=False),
    Column("user_id", _references("users"), nullable=False, index=True),
    Column("role", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("account_id", "user_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", _references("users"), nullable=False, index=True),
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

provider_quotas = Table(
    "provider_quotas",
    metadata,
    # A provider, and a keyed hash of the app or of the service account's project that requests count for there.
    Column("project", String(100), primary_key=True),
    # Until when what was sent, and is certain to be, takes up the share of the quota that polls have.
    Column("used_at", UtcDateTime, nullable=False),
    # The end of the queue of polls: what stands in it is not yet certain.
    Column("next_at", UtcDateTime, nullable=False),
    # Until when what was sent alone takes it up, whatever places are kept.
    Column("sent_at", UtcDateTime, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", _references("accounts"), nullable=False, index=True),
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

connections = Table(
    "connections",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", _references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("provider", String(20), nullable=False),
    Column("calendar_id", String(2000), nullable=False),
    # One calendar whatever its spelling; equal over all accounts, for links and rule 3.
    Column("calendar_key", String(64), nullable=False, index=True),
    # Connections that share credentials at one server wait together when it says slow down (rule 24).
    Column("grant_hash", String(64), nullable=False, index=True),
    Column("calendar_name", String(500), nullable=False),
    Column("email", String(320)),
    Column("timezone", String(64)),
    Column("owner_addresses", JSON, nullable=False),
    Column("read_only", Boolean, nullable=False),
    Column("credentials_encrypted", LargeBinary, nullable=False),
    Column("status", String(20), nullable=False),
    Column("last_error_code", String(50)),
    Column("last_error_message", String(500)),
    Column("last_synced_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("cursor", String),
    # Moves on with every change of the index rows, so that an unchanged pair is known without planning.
    Column("index_version", Integer, nullable=False, default=0),
    # Set when the calendar read empty without the provider naming the deletions (rule 21).
    Column("emptied_at", UtcDateTime),
    # The provider said slow down: nothing is asked of it before (rule 24).
    Column("not_before", UtcDateTime),
    # With Google and Microsoft the grant that it is read with. Not a foreign key: it is looked up under a lock.
    Column("grant_id", String(40)),
    # When its channels are to be looked at; None while there is nothing to be done about them.
    Column("watch_at", UtcDateTime),
    # Until when the provider tells us of changes.
    Column("watched_until", UtcDateTime),
    UniqueConstraint("account_id", "mode", "calendar_key"),
)
_by_grant = connections.c.grant_id.is_not(None)
Index("ix_connections_grant_id", connections.c.grant_id, sqlite_where=_by_grant, postgresql_where=_by_grant)
_watched = connections.c.watch_at.is_not(None)
Index("ix_connections_watch_at", connections.c.watch_at, sqlite_where=_watched, postgresql_where=_watched)

index = Table(
    "event_index",
    metadata,
    Column("connection_id", _references("connections"), primary_key=True),
    Column("resource_id", String(1000), primary_key=True),
    Column("original", String(100), primary_key=True),
    Column("version", String(500)),
    Column("uid", String(1000), nullable=False, index=True),
    Column("problem", String(40)),
    Column("shape", JSON, nullable=False),
    Column("content_hash", String(32), nullable=False),
    Column("people_hash", String(32), nullable=False),
    Column("mark", String(400)),
    # The connection's `index_version` at which this row last changed.
    Column("changed_in", Integer, nullable=False),
    # What the text filters of the connection's pairs say of it, by the filter's keyed fingerprint (rule 8).
    Column("verdicts", JSON(none_as_null=True)),
    # Since when the resource is in the index, and when it was last changed, as its provider says.
    Column("seen_at", UtcDateTime),
    Column("modified_at", UtcDateTime),
    sqlite_with_rowid=False,
)

pairs = Table(
    "pairs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", _references("accounts"), nullable=False, index=True),
    Column("mode", String(4), nullable=False),
    Column("connection_a_id", _references("connections"), nullable=False, index=True),
    Column("connection_b_id", _references("connections"), nullable=False, index=True),
    Column("sync_mode", String(20), nullable=False),
    Column("direction", String(20), nullable=False),
    Column("options", JSON, nullable=False),
    Column("status", String(20), nullable=False),
    # Why the pair stands in `needs_attention` or `error`: a code and our own words, with numbers.
    Column("attention_code", String(50)),
    Column("attention_message", String(500)),
    # What would happen after a confirmation, in numbers and examples: ids and times.
    Column("attention_details", JSON),
    Column("resume_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_synced_at", UtcDateTime),
    # When it is to run next; None while nothing but an order makes it run.
    Column("due_at", UtcDateTime),
    # Moves on whenever the pair is claimed or a claim is ended from outside: who holds an older one writes nothing.
    Column("generation", Integer, nullable=False, default=0),
    # Until when the claim that a run holds counts; None where nobody works on the pair.
    Column("leased_until", UtcDateTime),
    # The keys of its two calendars, so that a claim sees without a join whether one of them is in use.
    Column("calendar_a", String(64), nullable=False),
    Column("calendar_b", String(64), nullable=False),
    # `remove` or `keep`: the pair is being deleted, and what becomes of its copies (rule 20).
    Column("removal", String(10)),
    # What the last complete run saw; equal again before `quiet_until`, there is nothing to plan.
    Column("quiet_state", String(200)),
    Column("quiet_until", UtcDateTime),
    # When a reading last brought a change of either calendar: what hardly changes is polled less (sync/pace.py).
    Column("changed_at", UtcDateTime),
    # The process that has it at work; it counts while `leased_until` is set.
    Column("worker", String(40)),
    # Another process claimed it for that one, which has not taken it yet (store/homes.py).
    Column("given", Boolean, nullable=False, server_default=false()),
    # The turn that its provider's quota has given its next poll; None where it has to ask for one.
    Column("turn_at", UtcDateTime),
)
_free = pairs.c.leased_until.is_(None)
Index("ix_pairs_due_at", pairs.c.due_at, sqlite_where=_free, postgresql_where=_free)
_held = pairs.c.leased_until.is_not(None)
Index("ix_pairs_leased_until", pairs.c.leased_until, sqlite_where=_held, postgresql_where=_held)

orders = Table(
    "orders",
    metadata,
    Column("sync_id", String(40), primary_key=True),
    Column("account_id", _references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    # Not a foreign key: who ordered a removal is told that it was done.
    Column("pair_id", String(40), nullable=False),
    Column("trigger", String(20), nullable=False),
    Column("full", Boolean, nullable=False),
    Column("confirm", Boolean, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    # The run to be undone, by its sync id, or `latest`; None of an order to sync.
    Column("undo", String(40)),
    # Somebody waits for it; else a change of a calendar asks for it.
    Column("urgent", Boolean, nullable=False, server_default=true()),
    Column("created_at", UtcDateTime, nullable=False),
    # The claim that took it up; until then further requests join it.
    Column("generation", Integer),
    Column("finished_at", UtcDateTime, index=True),
    # What came of it: ids, counts, reasons.
    Column("report", JSON),
)
_joinable = orders.c.generation.is_(None)
Index(
    "uq_orders_pair_id_dry_run",
    orders.c.pair_id,
    orders.c.dry_run,
    unique=True,
    sqlite_where=_joinable,
    postgresql_where=_joinable,
)
_open = orders.c.finished_at.is_(None)
Index("ix_orders_pair_id", orders.c.pair_id, sqlite_where=_open, postgresql_where=_open)
Index(
    "ix_orders_urgent_account_id_created_at",
    orders.c.urgent,
    orders.c.account_id,
    orders.c.created_at,
    sqlite_where=_open,
    postgresql_where=_open,
)

links = Table(
    "links",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("pair_id", _references("pairs"), nullable=False),
    Column("direction", String(10), nullable=False),
    Column("source_resource", String(1000), nullable=False),
    Column("source_original", String(100), nullable=False),
    Column("source_uid", String(1000), nullable=False),
    Column("origin", String(64), nullable=False),
    Column("target_calendar", String(64), nullable=False),
    Column("copy_id", String(100), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    # What the copy was written from; None while no write has been answered.
    Column("written_hash", String(32)),
    # Our fields in the copy as first read back; drift is judged against it (rule 17).
    Column("copy_hash", String(32)),
    Column("times_hash", String(32)),
    Column("rules_version", String(32)),
    Column("restores", Integer, nullable=False),
    # Keys of the instances that the copied series leaves out, and of those that a person took out (rule 17).
    Column("holes", JSON, nullable=False),
    Column("respected", JSON, nullable=False),
    # Of each field of the copy as first read back, so that a person's edit of one is known (rule 17).
    Column("copy_fields", JSON),
    # The copy, as copy_hash would note it, whose edits are being carried into the source.
    Column("propagating", String(64)),
    # Over how many pairs the event came, this one included.
    # When the first write of a copy that may stand there was begun.
    Column("pending_since", UtcDateTime),
    Column("hops", Integer, nullable=False, server_default="1"),
    # Why a copy stays that differs from what was written.
    Column("accepted", String(50)),
    UniqueConstraint("pair_id", "direction", "source_resource", "source_original"),
    Index("ix_links_target_calendar_copy_id", "target_calendar", "copy_id"),
)

kept_copies = Table(
    "kept_copies",
    metadata,
    Column("calendar_key", String(64), primary_key=True),
    Column("copy_id", String(100), primary_key=True),
    # The connection whose index showed it when that was last looked at, and when that was; None: not yet.
    Column("seen_in", String(40)),
    Column("seen_at", UtcDateTime),
    # When it is looked at whether it still stands there.
    Column("look_at", UtcDateTime, nullable=False, server_default=EPOCH, index=True),
)

failures = Table(
    "failures",
    metadata,
    Column("pair_id", _references("pairs"), primary_key=True),
    Column("direction", String(10), primary_key=True),
    Column("source_resource", String(1000), primary_key=True),
    Column("source_original", String(100), primary_key=True),
    Column("code", String(50), nullable=False),
    # The event, pair and program that it failed with: a change of any is a reason to try again (rule 22).
    Column("tried_hash", String(32), nullable=False),
    Column("retry_at", UtcDateTime, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    # Of account, mode, method, path and the key that the caller chose.
    Column("key_hash", String(64), primary_key=True),
    Column("account_id", _references("accounts"), nullable=False),
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

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", _references("accounts"), nullable=False),
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
    Column("account_id", _references("accounts"), nullable=False),
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
    Column("account_id", _references("accounts"), nullable=False),
    Column("mode", String(4), nullable=False),
    Column("webhook_id", _references("webhooks"), nullable=False),
    Column("event_id", _references("webhook_events"), nullable=False, index=True),
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

sandbox_calendars = Table(
    "sandbox_calendars",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", _references("accounts"), nullable=False),
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
    Column("calendar_id", _references("sandbox_calendars"), primary_key=True),
    Column("id", String(100), primary_key=True),
    Column("account_id", _references("accounts"), nullable=False),
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
