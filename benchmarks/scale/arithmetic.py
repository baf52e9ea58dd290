"""What an installation of so many pairs costs: pure arithmetic on unit costs and stated assumptions.

`python -m benchmarks.scale.arithmetic --pairs 250000 --push 0.8` computes it for numbers of your own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from benchmarks.scale.costs import UnitCosts
from calendarsync.sync.pace import interval, slowest_interval

DAY = 86_400.0
CLAIMED_AT_ONCE = 64
CONNECTIONS = 12
"""That each process opens to PostgreSQL."""

REQUESTS_OF_A_RUN = 2
"""One for each end of the pair (docs/reference/provider-requests.md)."""

REQUESTS_OF_A_CHANGE = 2
"""What a change costs above the runs that find it and its copy: what it is compared with, and the write."""

UNITS_OF_A_PATCH = 3
"""Google counts a PATCH of an event as three (reference of events.patch)."""

ACCESS_TOKEN_LIFE = 3600.0
GOOGLE_CHANNEL_LIFE, MICROSOFT_CHANNEL_LIFE = 7 * DAY, 4200 * 60.0
RENEWED_BEFORE, RENEWED_LATER = DAY, 0.05
"""So long before its end a channel is renewed, but later by this share of that on the average."""

GOOGLE_REQUESTS_OF_A_RENEWAL, MICROSOFT_REQUESTS_OF_A_RENEWAL = 2, 1
WEBHOOKS_KEPT_DAYS = 30
ORDERS_KEPT_SECONDS = 3600.0
_STEPS = 200


def assumed(value: float, meaning: str) -> float:
    """A field that can be replaced, with what the page says of it."""
    made: float = field(default=value, metadata={"meaning": meaning})
    return made


@dataclass(frozen=True, slots=True)
class Load:
    """What is assumed. Shares are of 1; what is said of a pair is said of the average pair.

    Each pair has two calendars of its own, each with a grant of its own: pairs that share one cost less.
    """

    pairs: int
    push: float = assumed(0.8, "share of the pairs both of whose ends are told of changes")
    google: float = assumed(0.5, "share of the calendars that are at Google")
    microsoft: float = assumed(0.4, "share of the calendars that are at Microsoft")
    changes: float = assumed(2.0, "events that people change, a pair and day")
    still: float = assumed(0.5, "share of the pairs in which nothing changes for weeks")
    events: float = assumed(500.0, "events in a calendar, copies and past ones included")
    copies: float = assumed(150.0, "copies that a pair keeps, both directions together")
    skipped: float = assumed(5.0, "events of a pair that are refused or copied already, and logged so")
    replans: float = assumed(1.0, "times a day that an unchanged pair is planned anew")
    webhooks: float = assumed(1.0, "webhooks that are told of a change")
    api_requests: float = assumed(5.0, "requests to the API, a pair and day")
    peak: float = assumed(3.0, "the busiest hour, in average hours, of what people do")
    log_days: float = assumed(7.0, "days for which logs are kept")
    poll_seconds: float = assumed(300.0, "`CALENDARSYNC_POLL_INTERVAL_SECONDS`")
    slowest_seconds: float = assumed(3600.0, "`CALENDARSYNC_SLOWEST_POLL_SECONDS`")


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends first: the providers' published limits, and a machine for PostgreSQL that is still ordinary."""

    google_minute: float = assumed(10_000.0, "Google: requests a minute, a project")
    google_day: float = assumed(1_000_000.0, "Google: requests a day without charge")
    microsoft_10_seconds: float = assumed(130_000.0, "Graph: requests in 10 s, an app")
    polls_share: float = assumed(0.8, "share of Google's and Graph's limits for polls")
    busy: float = assumed(0.6, "how busy a core may be on the average")
    database_cores: float = assumed(32.0, "PostgreSQL: cores")
    database_bytes: float = assumed(8e12, "PostgreSQL: bytes on disk")
    wal_second: float = assumed(100e6, "PostgreSQL: bytes of WAL a second")
    connections: float = assumed(500.0, "PostgreSQL: connections")


@dataclass(frozen=True, slots=True)
class Scale:
    """Everything is of the whole installation; rates are a second, on the average over the day, if not said so."""

    load: Load
    unwatched_seconds: float
    watched_seconds: float
    polls: float
    planned_runs: float
    changes: float
    google_polls_minute: float
    google_others_minute: float
    microsoft_10_seconds: float
    channels: float
    renewals: float
    notices: float
    tokens: float
    rows: Mapping[str, float]
    bytes: Mapping[str, float]
    rows_written: float
    read_to_plan: float
    wal_low: float
    wal_high: float
    worker_cores: float
    api_cores: float
    database_cores: float
    claims_busy: float

    @property
    def runs(self) -> float:
        return self.polls + self.notices

    @property
    def google_minute(self) -> float:
        return self.google_polls_minute + self.google_others_minute

    @property
    def google_peak_minute(self) -> float:
        return self.google_polls_minute + self.google_others_minute * self.load.peak

    @property
    def google_day(self) -> float:
        return self.google_minute * 1440

    @property
    def total_bytes(self) -> float:
        return sum(self.bytes.values())

    def workers(self, limits: Limits) -> int:
        return max(1, math.ceil(self.worker_cores / limits.busy))

    def api_processes(self, limits: Limits) -> int:
        return max(1, math.ceil(self.api_cores / limits.busy))

    def connections(self, limits: Limits) -> int:
        return CONNECTIONS * (self.workers(limits) + self.api_processes(limits))

    def google_quota(self, limits: Limits) -> float:
        """Requests a minute to ask for, rounded up to a thousand: with it polls are never put off."""
        return max(
            limits.google_minute, math.ceil(self.google_peak_minute / limits.polls_share / 1000) * 1000
        )

    def first_syncs_days(self, limits: Limits) -> float:
        """To write all copies at Google once, in the polls' share; each part of a batch counts."""
        writes = self.load.pairs * self.load.copies * self.load.google
        return writes / (limits.google_minute * limits.polls_share) / 1440

    def stretched(self, limits: Limits) -> float:
        """By how much polls at Google are put off, with no more than the limit; inf where none are left."""
        left = limits.google_minute * limits.polls_share - self.google_others_minute
        return max(1.0, self.google_polls_minute / left) if left > 0 else math.inf


def unwatched_interval(load: Load) -> float:
    """From poll to poll on the average. Changes come by chance: the time since the last one is exponential."""
    poll, slowest = load.poll_seconds, load.slowest_seconds
    rate = 1 / interval(poll, slowest, unchanged=math.inf)
    busy = 1 - load.still
    if load.changes > 0 and busy > 0:
        mean = DAY / load.changes * busy
        since = (-mean * math.log(1 - (step + 0.5) / _STEPS) for step in range(_STEPS))
        rates = sum(1 / interval(poll, slowest, unchanged=seconds) for seconds in since)
        rate = load.still * rate + busy * rates / _STEPS
    return 1 / rate


def scale(load: Load, costs: UnitCosts) -> Scale:
    unwatched, watched = unwatched_interval(load), slowest_interval(load.poll_seconds, load.slowest_seconds)
    polls = load.pairs * (load.push / watched + (1 - load.push) / unwatched)
    told = (load.google + load.microsoft) if load.push else 0.0
    changes = load.pairs * load.changes / DAY
    notices = changes * 2 * told  # of the change, and of the copy that we wrote
    # What the run that hears of our copy finds is in the index already: it plans nothing.
    planned = changes + load.pairs * load.replans / DAY
    runs = polls + notices

    ends = load.pairs * 2
    earlier = RENEWED_BEFORE * (1 - RENEWED_LATER)
    google_renewals = ends * load.google / (GOOGLE_CHANNEL_LIFE - earlier) if load.push else 0.0
    microsoft_renewals = ends * load.microsoft / (MICROSOFT_CHANNEL_LIFE - earlier) if load.push else 0.0
    channels = (
        google_renewals * GOOGLE_REQUESTS_OF_A_RENEWAL,
        microsoft_renewals * MICROSOFT_REQUESTS_OF_A_RENEWAL,
    )
    asked = runs * REQUESTS_OF_A_RUN + changes * REQUESTS_OF_A_CHANGE
    # Half of what a change costs above its runs is the write.
    changed = notices * REQUESTS_OF_A_RUN + changes * (REQUESTS_OF_A_CHANGE - 1 + UNITS_OF_A_PATCH)
    grants = ends * (load.google + load.microsoft)
    tokens = grants * min(1 / ACCESS_TOKEN_LIFE, runs / load.pairs)

    rows = _rows(load, runs, notices, planned, grants, grants if told else 0.0)
    quiet = runs - min(changes * 2, runs)
    written = quiet * costs.quiet_run_rows + changes * costs.change_rows + tokens * 2
    deleted = runs  # in the long run as many logs as are written
    known = load.events * 2
    worker_ms = (
        runs * costs.quiet_run_ms
        + planned * (costs.planned_run_ms + costs.planned_event_ms * known)
        + (asked + sum(channels) + tokens + changes * load.webhooks) * costs.request_ms
    )
    database_ms = runs * costs.database_quiet_run_ms + planned * (
        costs.database_planned_run_ms + costs.database_planned_event_ms * known
    )
    served = (notices + load.pairs * load.api_requests / DAY) * load.peak
    return Scale(
        load=load,
        unwatched_seconds=unwatched,
        watched_seconds=watched,
        polls=polls,
        planned_runs=planned,
        changes=changes,
        google_polls_minute=polls * REQUESTS_OF_A_RUN * load.google * 60,
        google_others_minute=(changed * load.google + channels[0]) * 60,
        microsoft_10_seconds=(asked * load.microsoft + channels[1]) * 10,
        channels=rows["channels"],
        renewals=google_renewals + microsoft_renewals,
        notices=notices,
        tokens=tokens,
        rows=rows,
        bytes={table: count * costs.row_bytes[table] for table, count in rows.items()},
        rows_written=written + deleted,
        read_to_plan=planned
        * (known * costs.row_bytes["event_index"] + load.copies * costs.row_bytes["links"]),
        wal_low=quiet * costs.quiet_run_wal
        + changes * costs.change_wal
        + tokens * costs.token_wal
        + deleted * costs.deleted_row_wal,
        wal_high=quiet * costs.quiet_run_wal_cold
        + changes * costs.change_wal_cold
        + tokens * costs.token_wal_cold
        + deleted * costs.deleted_row_wal,
        worker_cores=worker_ms / 1000,
        api_cores=served * costs.api_request_ms / 1000,
        database_cores=database_ms / 1000,
        claims_busy=runs / CLAIMED_AT_ONCE * costs.claim_ms / 1000,
    )


def _rows(
    load: Load, runs: float, notices: float, planned: float, grants: float, channels: float
) -> dict[str, float]:
    """Rows at rest by table, once everything is as old as it gets."""
    changed = load.pairs * load.changes
    a_day = runs * DAY
    # After a day the first log of each hour is kept, and those of runs that changed something.
    thinned = min(a_day, load.pairs * min(24.0, a_day / load.pairs) + changed)
    older = max(load.log_days - 1, 0.0)
    return {
        "event_index": load.pairs * 2 * load.events,
        "links": load.pairs * load.copies,
        "runs": a_day * min(load.log_days, 1.0) + thinned * older,
        "operations": (changed + planned * DAY * load.skipped) * load.log_days,
        "connections": load.pairs * 2.0,
        "grants": grants,
        "pairs": float(load.pairs),
        "channels": channels,
        "webhook_events": changed * min(load.webhooks, 1.0) * WEBHOOKS_KEPT_DAYS,
        "deliveries": changed * load.webhooks * WEBHOOKS_KEPT_DAYS,
        "orders": notices * ORDERS_KEPT_SECONDS,
    }


def ends(load: Load, costs: UnitCosts, limits: Limits) -> dict[str, float]:
    """At how many pairs each limit is reached, the first one first: everything grows as the pairs do."""
    million = 1_000_000
    at = scale(replace(load, pairs=million), costs)
    google, graph = (
        each * limits.polls_share for each in (limits.google_minute, limits.microsoft_10_seconds)
    )
    processes = (at.worker_cores + at.api_cores) / limits.busy
    used = {
        "Google's requests a day without charge": at.google_day / limits.google_day,
        "Google's requests a minute, with room for what people do": at.google_peak_minute / google,
        "Graph's requests in 10 s, the same": at.microsoft_10_seconds / graph,
        "one worker": at.worker_cores / limits.busy,
        "connections to PostgreSQL": CONNECTIONS * processes / limits.connections,
        "PostgreSQL's disk": at.total_bytes / limits.database_bytes,
        "PostgreSQL's cores": at.database_cores / limits.busy / limits.database_cores,
        "WAL, all pages written whole": at.wal_high / limits.wal_second,
        "the claims' lock": at.claims_busy / limits.busy,
    }
    reached = {name: million / share for name, share in used.items() if share > 0}
    return dict(sorted(reached.items(), key=lambda each: each[1]))


if __name__ == "__main__":
    from benchmarks.scale.tables import main

    main()
