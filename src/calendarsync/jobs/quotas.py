"""What the runs of this process send counts for the quotas of projects, and its polls wait for their turns there.

A project is what a provider counts an app's requests by: with Google a Cloud project, with Microsoft an application
(docs/decisions/provider-quotas.md).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Collection, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog

from calendarsync.grants.registrations import GOOGLE, MICROSOFT, NAMES
from calendarsync.secrets import Keyring
from calendarsync.settings import Settings
from calendarsync.store import quotas as store
from calendarsync.store.claims import Claim
from calendarsync.store.columns import AT_ONCE
from calendarsync.store.database import Database, DatabaseUnavailable
from calendarsync.store.quotas import Moments, PutOff
from calendarsync.store.schedule import ConnectionRecord, PairRecord
from calendarsync.sync.turns import Poll, Quota, allot

COUNT_SECONDS = 1.0
"""How often what was sent is written down."""

TELL_SECONDS = 60.0
"""How often it is logged that polls wait, at most."""

_COVERED_LOOKS = 10
"""A poll sends what its turn stood for within so many looks, or nothing."""

_MOST_KNOWN = 100_000

_log = structlog.get_logger(__name__)


class Quotas:
    """`sent`: calls that were sent to providers, by grant; they are taken out here."""

    def __init__(self, db: Database, keyring: Keyring, settings: Settings, sent: Counter[str]) -> None:
        self._db = db
        self._keyring = keyring
        self._sent = sent
        self._own = {GOOGLE: settings.google_client_id, MICROSOFT: settings.microsoft_client_id}
        self._per_minute = {
            GOOGLE: settings.google_requests_per_minute,
            MICROSOFT: settings.microsoft_requests_per_minute,
        }
        self._projects: dict[str, str] = {}
        # What turns stood for, the latest last: it was reckoned when they were given, and is not reckoned again.
        self._covered: deque[Counter[str]] = deque([Counter()], maxlen=_COVERED_LOOKS)
        self._held: dict[str, datetime] = {}
        self._waiting, self._tell_at = 0, 0.0

    async def turns(
        self, polls: Mapping[Claim, PairRecord], connections: Mapping[str, ConnectionRecord]
    ) -> set[Claim]:
        """Ask for a turn for each of these polls; those that have to wait for it.

        Their claims have been ended, and they are due at their turns. Where no connection counts for a project it
        costs nothing.
        """
        asking = {claim: ends for claim, pair in polls.items() if (ends := _counted_ends(pair, connections))}
        if not asking:
            return set()
        projects = await self._projects_of({grant for ends in asking.values() for grant in ends.values()})
        # Those that have waited longest have the first turns.
        claims = sorted(asking, key=lambda claim: (claim.due_at is None, claim.due_at, claim.pair_id))
        wanted = [_poll(claim, polls[claim], asking[claim], projects) for claim in claims]
        async with self._moving({each for poll in wanted for each in poll.ends.values()}) as (quotas, now):
            allotted = allot(wanted, quotas, now)
        self._covered[-1].update(allotted.covered)
        waiting = [
            PutOff(claim, turn.due_at, turn.turn_at)
            for claim, turn in zip(claims, allotted.turns, strict=True)
            if turn is not None
        ]
        if waiting:
            async with self._db.write() as db:
                await store.put_off(db, waiting)
            self._tell(len(waiting), max(each.due_at for each in waiting))
        return {each.claim for each in waiting}

    def _tell(self, polls: int, until: datetime) -> None:
        """Where all of them wait there are thousands a minute: they are logged together."""
        self._waiting += polls
        if time.monotonic() >= self._tell_at:
            _log.info("polls_wait_for_quota", polls=self._waiting, until=until)
            self._waiting, self._tell_at = 0, time.monotonic() + TELL_SECONDS

    def hold(self, grant_id: str, until: datetime) -> None:
        """The provider said that the whole project of this grant is to wait: its polls do."""
        self._held[grant_id] = until

    async def keep_counting(self) -> None:
        """Write down what is sent, again and again."""
        while True:
            await asyncio.sleep(COUNT_SECONDS)
            try:
                await self.write_down()
            except DatabaseUnavailable:
                _log.warning("quotas_wait_for_database")
            except Exception as defect:  # noqa: BLE001 - the next look tries again
                _log.error("quotas_failed", defect=type(defect).__name__)

    async def write_down(self) -> None:
        """Reckon what was sent since the last look, but for what turns stood for. Raises DatabaseUnavailable."""
        sent, held = self._sent.copy(), dict(self._held)
        if sent or held:
            await self._reckon(sent, held)
        # Only now: what the database did not take is tried again.
        self._sent.subtract(sent)
        for grant_id in [each for each in sent if not self._sent[each]]:
            del self._sent[grant_id]
        for grant_id, until in held.items():
            if self._held[grant_id] == until:
                del self._held[grant_id]
        self._covered.append(Counter())

    async def pull_in(self, furthest: timedelta) -> None:
        """A clock that was set back has put the turns off by as much: none is further ahead than that."""
        async with self._moving(None) as (quotas, now):
            for quota in quotas.values():
                quota.pull_in(now + furthest)

    async def _reckon(self, sent: Mapping[str, int], held: Mapping[str, datetime]) -> None:
        projects = await self._projects_of(sent.keys() | held.keys())
        calls = Counter[str]()
        for grant_id, count in sent.items():
            if grant_id in projects:
                calls[projects[grant_id]] += count
        paid = {project: min(count, self._paid(project)) for project, count in calls.items()}
        more = {project: count - paid[project] for project, count in calls.items() if count > paid[project]}
        until = {projects[grant_id]: moment for grant_id, moment in held.items() if grant_id in projects}
        if more or until:
            async with self._moving(more.keys() | until.keys()) as (quotas, now):
                for project, quota in quotas.items():
                    quota.spend(more.get(project, 0), now)
                    quota.hold(until.get(project, now))
        for project, count in paid.items():
            self._pay(project, count)

    @asynccontextmanager
    async def _moving(
        self, projects: Collection[str] | None
    ) -> AsyncIterator[tuple[Mapping[str, Quota], datetime]]:
        """The quotas of these projects, or of all, and the time. Nobody else moves them; what moved is written."""
        async with self._db.write() as db:
            now = self._db.now()
            named = await store.all_projects(db) if projects is None else projects
            rows = await store.lock_quotas(db, named, now)
            quotas = {project: self._quota(project, *moments) for project, moments in rows.items()}
            yield quotas, now
            await store.move_quotas(db, _moved(quotas, rows))

    def _paid(self, project: str) -> int:
        return sum(each[project] for each in self._covered)

    def _pay(self, project: str, calls: int) -> None:
        """The oldest first: what nobody sent after all is soon forgotten."""
        for each in self._covered:
            taken = min(calls, each[project])
            each[project] -= taken
            calls -= taken

    def _quota(self, project: str, *moments: datetime) -> Quota:
        provider, _, _ = project.partition(":")
        return Quota.of(self._per_minute[provider], *moments)

    async def _projects_of(self, grant_ids: AbstractSet[str]) -> Mapping[str, str]:
        """The projects that grants count for; one that is gone is left out."""
        unknown = grant_ids - self._projects.keys()
        if unknown:
            if len(self._projects) > _MOST_KNOWN:
                self._projects.clear()
                unknown = set(grant_ids)
            async with self._db.read() as db:
                found = await store.givers(db, unknown)
            for grant_id, (provider, display) in found.items():
                self._projects[grant_id] = self._project(provider, display)
        return self._projects

    def _project(self, provider: str, display: str | None) -> str:
        """A provider, and a keyed hash of the app that people grant access to, or of an organisation's own."""
        app = self._own.get(provider) or ""
        if display is not None:
            app = _app_of(provider, display)
        return f"{provider}:{self._keyring.subject_hash('project', f'{provider} {app}')}"


def _app_of(provider: str, display: str) -> str:
    """What a delegation's requests count for: a service account's project, an application.

    A service account is called `name@project.iam.gserviceaccount.com`
    (cloud.google.com/iam/docs/service-account-types), an application here `id in tenant`.
    """
    return display.rpartition("@")[2] if provider == GOOGLE else display.partition(" ")[0]


def _counted_ends(pair: PairRecord, connections: Mapping[str, ConnectionRecord]) -> dict[str, str]:
    """The pair's connections that count for a project, and their grants."""
    both = (connections[pair.connection_a_id], connections[pair.connection_b_id])
    return {end.id: end.grant_id for end in both if end.grant_id is not None and end.provider in NAMES}


def _poll(claim: Claim, pair: PairRecord, ends: Mapping[str, str], projects: Mapping[str, str]) -> Poll:
    return Poll(
        ends={end: projects[grant] for end, grant in ends.items() if grant in projects},
        due_at=claim.due_at or AT_ONCE,
        turn_at=pair.turn_at,
        # What fails over and over was not planned either, and is no news.
        wanted=pair.removal is not None or (pair.in_order and pair.quiet_state is None),
    )


def _moved(quotas: Mapping[str, Quota], before: Mapping[str, Moments]) -> dict[str, Moments]:
    """The clocks that are to be written: those that have moved."""
    after = {project: (quota.used_at, quota.next_at, quota.sent_at) for project, quota in quotas.items()}
    return {project: moments for project, moments in after.items() if moments != before[project]}
