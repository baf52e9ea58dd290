"""One row of everything, and arguments for every function of the store that takes a connection."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.domain.event import Component, Duration, EventTime, Problem, Resource
from calendarsync.domain.filters import TextField, TextFilter
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.link import Direction, Link, LinkState
from calendarsync.domain.rules import Window
from calendarsync.store import tables
from calendarsync.store.channels import ChannelRecord
from calendarsync.store.choosing import BEGINNING
from calendarsync.store.claims import Claim
from calendarsync.store.deliveries import Delivery, End
from calendarsync.store.fairness import Places
from calendarsync.store.logs import LogFilter, Place
from calendarsync.store.neighbours import beside
from calendarsync.store.outbox import Event
from calendarsync.store.paging import Page
from calendarsync.store.quiet import QuietEnd
from calendarsync.store.quotas import PutOff
from calendarsync.store.schedule import ConnectionRecord, PairRecord
from calendarsync.store.tenancy import Tenant, owned

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
TENANT = Tenant("acct_walk", "test")

_ACCOUNT = {"id": TENANT.account_id, "email": "you@example.com", "plan": "free", "created_at": NOW}
_CONNECTION: dict[str, Any] = {
    "id": "conn_a",
    "provider": "caldav",
    "calendar_id": "https://dav.example.com/a/",
    "calendar_key": "key-a",
    "grant_hash": "grant",
    "calendar_name": "A",
    "owner_addresses": [],
    "read_only": False,
    "credentials_encrypted": b"sealed",
    "status": "active",
    "created_at": NOW,
    "index_version": 0,
}
_GRANTED: dict[str, Any] = {
    "id": "conn_b",
    "provider": "google",
    "calendar_key": "key-b",
    "grant_id": "grant_a",
    "not_before": NOW + timedelta(minutes=1),
}
_PAIR: dict[str, Any] = {
    "id": "pair_held",
    "connection_a_id": "conn_a",
    "connection_b_id": "conn_b",
    "sync_mode": "full",
    "direction": "bidirectional",
    "options": {},
    "status": "active",
    "created_at": NOW,
    "last_synced_at": NOW,
    "due_at": NOW,
    "generation": 1,
    "leased_until": LATER,
    "worker": "worker_here",
    "calendar_a": "key-a",
    "calendar_b": "key-b",
}
_ORDER = {
    "sync_id": "sync_1",
    "pair_id": "pair_free",
    "trigger": "api",
    "full": False,
    "confirm": False,
    "dry_run": False,
    "created_at": NOW,
}
_RUN = {
    "sync_id": "sync_0",
    **TENANT.values(),
    "pair_id": "pair_held",
    "status": "success",
    "trigger": "schedule",
    "duration_ms": 1,
    **{f"events_{name}": 0 for name in ("processed", "created", "updated", "deleted", "skipped")},
    "provider_requests": 2,
}
_OPERATION = {
    "direction": "a_to_b",
    "event_id": "event",
    "original_start": "",
    "action": "create",
    "reason": "new",
}
_WEBHOOK: dict[str, Any] = {
    "id": "whk_0",
    "url_encrypted": b"sealed",
    "secret_encrypted": b"sealed",
    "events": ["sync.failed"],
    "format": "event",
    "only_changed": False,
    "status": "enabled",
    "created_at": NOW,
}
_EVENT = {"id": "evt_0", "type": "sync.failed", "data": {}, "created_at": NOW}
_DELIVERY = {
    "id": "dlv_0",
    "webhook_id": "whk_0",
    "event_id": "evt_0",
    "status": "pending",
    "created_at": NOW,
    "next_attempt_at": NOW,
    "generation": 1,
    "leased_until": LATER,
    "attempts": [],
}
_TOLD = Event(TENANT.account_id, TENANT.mode, "sync.failed", {})
_FREE = {
    "id": "pair_free",
    "generation": 0,
    "leased_until": None,
    "calendar_a": "key-c",
    "calendar_b": "key-d",
}
_LAPSED = {**_FREE, "id": "pair_lapsed", "leased_until": NOW - timedelta(seconds=1)}
_FOR_ANOTHER = {
    **_LAPSED,
    "id": "pair_given",
    "leased_until": LATER,
    "given": True,
    "calendar_a": "key-e",
    "calendar_b": "key-f",
}
_HELD = Claim("pair_held", 1, NOW, due=True)
_LINK = Link(Direction.A_TO_B, "event", "", "uid", "origin", "key-b", "copy", 1, LinkState.LIVE)


def _record(kind: type[Any], row: Mapping[str, Any]) -> Any:
    return kind(**{field.name: row.get(field.name) for field in fields(kind)})


_PAIR_RECORD: PairRecord = _record(PairRecord, _PAIR | TENANT.values())
_CONNECTION_RECORD: ConnectionRecord = _record(ConnectionRecord, _CONNECTION | TENANT.values())

_SENT: Delivery = _record(Delivery, _WEBHOOK | _EVENT | _DELIVERY | TENANT.values())

_DELEGATION: dict[str, Any] = {
    "id": "dlg_a",
    "provider": "google",
    "display": "sync@project.example",
    "domains": ["example.com"],
    "credentials_encrypted": b"sealed",
    "created_at": NOW,
}
_GRANT: dict[str, Any] = {
    "id": "grant_a",
    "provider": "google",
    "delegation_id": "dlg_a",
    "subject_hash": "subject",
    "email": "you@example.com",
    "scopes": [],
    "credentials_encrypted": b"sealed",
    "status": "active",
    "generation": 1,
    "created_at": NOW,
}
_NEW_GRANT = {name: value for name, value in _GRANT.items() if name != "generation"} | {
    "id": "grant_b",
    "subject_hash": "other",
}
_AUTHORIZATION: dict[str, Any] = {
    "id": "auth_a",
    "provider": "google",
    "connection_id": "conn_a",
    "link_hash": "link",
    "state_hash": "state",
    "verifier_encrypted": b"sealed",
    "grant_id": "grant_a",
    "status": "new",
    "expires_at": LATER,
    "created_at": NOW,
}
_CHANNEL: dict[str, Any] = {
    "id": "chn_a",
    "connection_id": "conn_a",
    "provider": "google",
    "remote_id": "remote",
    "token_hash": "token",
    "expires_at": LATER,
    "created_at": NOW,
}

_USER: dict[str, Any] = {"id": "user_a", "email": "you@example.com", "created_at": NOW}
_MEMBER = {"id": "mem_a", "account_id": TENANT.account_id, "user_id": "user_a", "role": "owner"}
_SESSION = {"token_hash": "hash", "user_id": "user_a", "created_at": NOW, "expires_at": LATER}
_KEY: dict[str, Any] = {
    "id": "key_a",
    "key_hash": "hash",
    "display": "cs_test_…abcd",
    "scopes": [],
    "created_at": NOW,
}

_SANDBOX_CALENDAR: dict[str, Any] = {
    "id": "sbx_a",
    "name": "A",
    "timezone": "Europe/Berlin",
    "email": None,
    "created_at": NOW,
}
_SANDBOX_EVENT: dict[str, Any] = {
    "calendar_id": "sbx_a",
    "id": "sbe_a",
    "uid": "uid",
    "version": 1,
    "deleted": False,
    "data": {},
}

_TAKEN: dict[str, Any] = {
    "key_hash": "taken",
    "api_key_id": "key_a",
    "body_hash": "hash",
    "request_id": "req_a",
    "expires_at": LATER,
}

_BY_KIND: Mapping[Any, Any] = {
    Tenant: TENANT,
    datetime: NOW,
    str: "made-up",
    int: 1,
    Claim: _HELD,
    PairRecord: _PAIR_RECORD,
    ConnectionRecord: _CONNECTION_RECORD,
    ChannelRecord: ChannelRecord("chn_new", "remote", LATER, NOW),
    LogFilter: LogFilter(NOW),
    Page: Page(),
    Direction: Direction.A_TO_B,
    Fingerprinter: Fingerprinter(b"k" * 32),
    Window: Window(NOW, LATER),
}
_EVENT_AT_PROVIDER = Resource(
    "event",
    "1",
    "uid",
    (Component("uid", EventTime.parse("2026-03-02T09:00:00Z"), duration=Duration(0, 60)),),
)
_BY_NAME: Mapping[str, Any] = {
    "authorization_id": "auth_a",
    "grant_id": "grant_a",
    "delegation_id": "dlg_a",
    "pair_id": "pair_held",
    "connection_id": "conn_a",
    "account_id": TENANT.account_id,
    "user_id": "user_a",
    "member_id": "mem_a",
    "key_id": "key_a",
    "calendar_id": "sbx_a",
    "event_id": "sbe_a",
    "data": {},
    "faults": [],
    "log_id": "log_0",
    "webhook_id": "whk_0",
    "delivery_id": "dlv_0",
    "until": LATER,
    "ahead": timedelta(seconds=30),
    "me": "worker_here",
    "at_work": [_HELD],
    "worker": "worker_here",
    "places": Places(10, 10),
    "back": 0.5,
    "room": 1,
    "span": timedelta(seconds=30),
    "lasts": timedelta(hours=1),
    "report": {},
    "trial_ends_at": None,
    "claims": [_HELD],
    "filters": [TextFilter.of(TextField.TITLE, ("lunch",))],
    "delivery": _SENT,
    "claimed": [_SENT],
    "end": End(delivered=True, attempt={}, response_encrypted=None, next_attempt_at=None),
    "before": NOW,
    "reason": "gone",
    "floating": "Europe/Berlin",
    "changed": [_LINK],
    "gone": [_LINK],
    "beside": beside(_PAIR_RECORD),
    "mark_keys": (),
    "sync_ids": ["sync_1"],
    "pair_ids": ["pair_free"],
    "account_ids": [TENANT.account_id],
    "connection_ids": ["conn_a"],
    "calendar_keys": ["key-a"],
    "calendar_key": "key-a",
    "channel_ids": ["chn_a"],
    "names": ["chn_a"],
    "providers": ["google"],
    "watch_at": LATER,
    "latest": NOW,
    "watched_latest": LATER,
    "at": NOW,
    "lock": True,
    "keep": True,
    "ids": ["event"],
    "hashes": ["hash"],
    "grant_ids": ["grant_a"],
    "moments": {"google:spent": (NOW, LATER, NOW)},
    "projects": ["google:spent", "google:new"],
    "credentials_encrypted": b"sealed",
    "kept": True,
}
_GONE = {"seen_in": _PAIR["connection_a_id"], "seen_at": NOW - timedelta(days=130)}
_TIMES = (
    tables.orders.c.finished_at,
    tables.rate_windows.c.ends_at,
    tables.idempotency.c.expires_at,
    tables.sessions.c.expires_at,
    tables.webhook_events.c.created_at,
    tables.api_keys.c.revoked_at,
    tables.api_keys.c.expires_at,
)
# Where neither the kind nor the name of a parameter is enough, or one call does not reach every statement.
_CALLS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "accounts.claim_installation": [{"checks": ["new", "old"]}],
    "accounts.insert_account": [{"account_id": "acct_new"}],
    "accounts.set_return_urls": [{"return_urls": ["https://app.example.com/connected"]}],
    "authorizations.insert_authorization": [
        {"values": _AUTHORIZATION | {"id": "auth_b", "link_hash": "other", "state_hash": "other"}}
    ],
    "authorizations.prune": [{"before": LATER + timedelta(days=1)}],
    "authorizations.take_step": [{"before": ["new"], "values": {"status": "opened"}}],
    "channels.notified": [{"provider": "google"}, {"provider": "microsoft"}],
    "choosing.ordered": [{"after": BEGINNING}, {"after": ("acct_0", "acct_0")}],
    "choosing.due": [{"room": 1}],
    "choosing.company": [{"chosen": [_PAIR_RECORD], "soon": LATER, "most": 4}],
    "claiming.claim_ordered": [{"after": BEGINNING}],
    "clock_jumps.pull_in": [{"since": None, "latest": NOW - timedelta(days=1)}],
    "clock_jumps.shorten_leases": [{"until": NOW - timedelta(days=1)}],
    "claims.hold_fast": [{}, {"beside": None}],
    "claims.settle": [
        {"status": {"status": "error"}, "release": False, "last_synced_at": NOW},
        {"status": {}, "release": True, "next_due_at": LATER},
    ],
    "connections.insert_connection": [{"values": _CONNECTION | {"id": "conn_c", "calendar_key": "key-c"}}],
    "connections.update_connection": [{"values": {"calendar_name": "B"}}],
    "delegations.insert_delegation": [{"values": _DELEGATION | {"id": "dlg_b"}}],
    "delegations.renew_delegation": [{"credentials_encrypted": b"sealed"}],
    "deliveries.cancel": [{"now": LATER}],
    "deliveries.claim": [{"shares": {"whk_0": 1}, "now": LATER}],
    "delivery_queues.choose": [{"shares": {"whk_0": 1}, "now": LATER}],
    "grant_tokens.prune": [{"grant_ids": ["grant_unused"], "before": LATER}],
    "grant_tokens.unused_after": [{"before": LATER, "after": "", "limit": 100}],
    "grants.drop_if_unused": [{}, {"grant_id": "grant_unused"}],
    "homes.find_homes": [{"chosen": ["pair_free"], "me": "worker_else", "polls": True}],
    "grants.find_grant": [{"provider": "google", "subject_hashes": ["subject"]}],
    "grants.insert_grant": [{"values": _NEW_GRANT}],
    "grants.renew_grant": [{"values": {"scopes": ["openid"]}}],
    "idempotency.take": [{"values": _TAKEN}, {"values": _TAKEN | {"key_hash": "free"}}],
    "idempotency.change": [{"values": {"status": 200}}],
    "index.store_verdicts": [{"resources": [_EVENT_AT_PROVIDER]}],
    "index.store_resources": [{"resources": [Resource("event", "1", "uid", (), problem=Problem.UNREADABLE)]}],
    "keys.insert_key": [{"values": _KEY | {"id": "key_new", "key_hash": "new"}}],
    "keys.update_key": [{"values": {"revoked_at": NOW}}],
    "limits.count": [{}, {"subject": "spent"}],
    "links.upstreams": [{"ids": None}, {}],
    "links.replace_failures": [{"failed": {("event", ""): ("refused", "hash", NOW)}}],
    "logs.list_logs": [
        {"after": None},
        {"wanted": LogFilter(NOW, LATER, "pair_held", "sync_0", "success"), "after": Place(LATER, "log_1")},
    ],
    "orders.place_on": [{}, {"now": LATER}],
    "orders.place": [{"values": _ORDER | {"sync_id": "sync_2"}}],
    "orders.place_undo": [{"values": _ORDER | {"sync_id": "sync_3", "undo": "latest"}}],
    "runs.last_that_wrote": [{"tenant": TENANT, "pair_id": "pair_held"}],
    "runs.operations_of": [{"run_id": "log_0"}],
    "paging.read_page": [
        {
            "query": select(tables.pairs).where(owned(tables.pairs)),
            "order": (tables.pairs.c.created_at, tables.pairs.c.id),
            "mine": owned(tables.pairs),
            "page": Page(1, "pair_held"),
            "descending": False,
            "parameters": TENANT.parameters(),
        }
    ],
    "outbox.emit": [{"events": [_TOLD]}],
    "outbox.emit_to": [{"event": _TOLD}],
    "pairs.insert_pairs": [{"values": [_PAIR | {"id": "pair_new"}]}],
    "pairs.list_pairs": [{"status": None}, {"status": "paused", "connection_id": None}],
    "pairs.lock_pairs": [{}, {"pair_ids": None}],
    "pairs.update_pair": [{"values": {"status": "paused"}}],
    "pairs.update_pairs": [{"values": {"status": "paused"}}],
    "people.ensure_user": [{"user_id": "user_new", "email": "new@example.com"}],
    "people.insert_member": [{"member_id": "mem_new", "user_id": "user_b"}],
    "quiet.settle_quiet": [
        {"ends": [QuietEnd(_HELD, LATER, _RUN | {"id": "log_2", "sync_id": "sync_3"}, {})]}
    ],
    "quotas.put_off": [{"ends": [PutOff(_HELD, LATER, LATER)]}],
    "reserving.keep_turns": [{"before": [], "now": NOW + timedelta(seconds=9)}],
    "retention.accounts_after": [{"account_id": ""}],
    "pruning.delete_old": [{"column": column, "before": LATER + timedelta(days=1)} for column in _TIMES],
    "pruning.count_old": [{"column": column} for column in (*_TIMES, tables.authorizations.c.expires_at)],
    "left_behind.forget_gone": [{"limit": 10}],
    "retention.delete_logs": [{"before": LATER}],
    "retention.delete_brief_logs": [{"after": NOW, "before": LATER}],
    "run_counts.count_logs": [{"at_most": None}, {"at_most": 10}],
    "run_counts.count_more": [{"now": NOW + timedelta(hours=2)}, {"now": NOW - timedelta(hours=2)}],
    "runs.save_run": [
        {"run": _RUN | {"id": "log_1", "sync_id": "sync_4", "created_at": NOW}, "done": [_OPERATION]}
    ],
    "sandbox.insert_calendar": [{"values": _SANDBOX_CALENDAR | {"id": "sbx_new"}}],
    "sandbox.list_versions": [{"since": 0}, {"since": None}],
    "sandbox.put_event": [{}, {"event_id": "sbe_new"}],
    "schedule.note_failure": [{"status": "expired"}],
    "schedule.note_reading": [{"cursor": "next"}],
    "schedule.update_connection": [{"cursor": "next"}],
    "webhooks.insert_webhook": [
        {"values": _WEBHOOK | {"id": "whk_1"}, "at_most": 2},
    ],
    "webhooks.list_deliveries": [{"status": "failed", "page": Page(1, "dlv_0")}],
    "webhooks.update_webhook": [{"values": {"only_changed": True}}],
}


def _due(name: str) -> dict[str, Any]:
    return {"id": f"pair_due_{name}", "calendar_a": f"key-{name}-1", "calendar_b": f"key-{name}-2"}


async def fill(db: AsyncConnection) -> None:
    """A pair that a run holds, one that is due and ordered, and one whose claim lapsed."""
    rows: list[tuple[Any, dict[str, Any]]] = [
        (tables.installation, {"id": 1, "secret_check": "old"}),
        (tables.accounts, _ACCOUNT),
        (tables.users, _USER),
        (tables.users, _USER | {"id": "user_b", "email": "b@example.com"}),
        (tables.members, _MEMBER | {"created_at": NOW}),
        (tables.sessions, _SESSION),
        (tables.api_keys, _KEY | TENANT.values()),
        (tables.connections, _CONNECTION | TENANT.values() | {"watch_at": NOW}),
        (tables.connections, _CONNECTION | TENANT.values() | _GRANTED),
        (tables.pairs, _PAIR | TENANT.values()),
        (tables.pairs, _PAIR | TENANT.values() | _FREE),
        (tables.pairs, _PAIR | TENANT.values() | _LAPSED),
        # As many are due as the schedule looks at for one place: a backlog.
        *((tables.pairs, _PAIR | TENANT.values() | _FREE | _due(each)) for each in "abcd"),
        (tables.pairs, _PAIR | TENANT.values() | _FOR_ANOTHER),
        (tables.orders, _ORDER | TENANT.values()),
        (tables.runs, _RUN | {"id": "log_0", "created_at": NOW, "brief": True}),
        (tables.run_counts, {**TENANT.values(), "begins_at": NOW, "status": "success", "count": 1}),
        (
            tables.sandbox_calendars,
            _SANDBOX_CALENDAR | TENANT.values() | {"version": 1, "epoch": 1, "faults": []},
        ),
        (tables.sandbox_events, _SANDBOX_EVENT | TENANT.values()),
        (tables.idempotency, _TAKEN | TENANT.values()),
        (
            tables.provider_quotas,
            {"project": "google:spent", "used_at": NOW, "next_at": LATER, "sent_at": NOW},
        ),
        (tables.rate_windows, {"subject": "spent", "used": 1, "ends_at": LATER}),
        (tables.operations, _OPERATION | {"run_id": "log_0", "position": 0}),
        (tables.webhooks, _WEBHOOK | TENANT.values()),
        (tables.webhook_events, _EVENT | TENANT.values()),
        (tables.deliveries, _DELIVERY | TENANT.values()),
        (tables.delegations, _DELEGATION | TENANT.values()),
        (tables.grants, _GRANT | TENANT.values()),
        (tables.grants, _GRANT | TENANT.values() | {"id": "grant_unused", "subject_hash": "unused"}),
        (tables.authorizations, _AUTHORIZATION | TENANT.values()),
        (tables.channels, _CHANNEL | TENANT.values()),
        (tables.kept_copies, {"calendar_key": "elsewhere", "copy_id": "cs1"}),
        (tables.kept_copies, {"calendar_key": "elsewhere", "copy_id": "cs2", **_GONE}),
    ]
    for table, row in rows:
        await db.execute(insert(table), row)


def calls(name: str, function: Any) -> list[dict[str, Any]]:
    """Arguments for each call of a function, all but its connection. `name` is `module.function`."""
    kinds = get_type_hints(function)
    made = []
    for given in _CALLS.get(name, [{}]):
        arguments = dict(given)
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.name in arguments or parameter.kind is parameter.VAR_KEYWORD:
                continue
            kind = kinds[parameter.name]
            if parameter.name not in _BY_NAME and kind not in _BY_KIND:
                raise LookupError(f"made_up.py has no argument {parameter.name!r} for {name}")
            arguments[parameter.name] = _BY_NAME.get(parameter.name, _BY_KIND.get(kind))
        made.append(arguments)
    return made
