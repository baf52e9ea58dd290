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

from calendarsync.store.access_tables import (
    accounts,
    api_keys,
    idempotency,
    installation,
    members,
    rate_windows,
    sessions,
    users,
)
from calendarsync.store.columns import EPOCH, UtcDateTime, metadata
from calendarsync.store.columns import references as _references
from calendarsync.store.grant_tables import authorizations, channels, delegations, grants
from calendarsync.store.run_tables import operations, run_counts, runs
from calendarsync.store.sandbox_tables import sandbox_calendars, sandbox_events
from calendarsync.store.webhook_tables import deliveries, webhook_events, webhooks

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
    # When that was planned: what somebody asks for does not wait for so long (sync/pace.py).
    Column("planned_at", UtcDateTime),
    # When a reading last brought a change of either calendar: what hardly changes is polled less (sync/pace.py).
    Column("changed_at", UtcDateTime),
    # The process that has it at work; it counts while `leased_until` is set.
    Column("worker", String(40)),
    # Another process claimed it for that one, which has not taken it yet (store/homes.py); without one, a turn is
    # kept for it (store/reserving.py).
    Column("given", Boolean, nullable=False, server_default=false()),
    # The turn that its provider's quota has given its next poll; None where it has to ask for one.
    Column("turn_at", UtcDateTime),
)
_free = pairs.c.leased_until.is_(None)
Index("ix_pairs_due_at", pairs.c.due_at, sqlite_where=_free, postgresql_where=_free)
_held = pairs.c.leased_until.is_not(None)
# What is at work is found by its lease, its calendars and its process: a claim reads no more however much that is.
for _name in ("leased_until", "calendar_a", "calendar_b", "worker"):
    Index(f"ix_pairs_{_name}", pairs.c[_name], sqlite_where=_held, postgresql_where=_held)

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
