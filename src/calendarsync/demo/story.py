"""What the demo does, in order, and what it says about it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rich.console import Console

from calendarsync.client import CalendarSync, CalendarSyncError
from calendarsync.client.models import SyncResult
from calendarsync.demo import narrator
from calendarsync.demo.check import Reading, read
from calendarsync.demo.data import BERLIN, HOME, WORK, Fortnight, fortnight
from calendarsync.demo.interrupts import interruptible, undisturbed
from calendarsync.demo.processes import DemoError, Installation, Server, calendarsync, installation, radicale
from calendarsync.demo.server import CalDavError, Owner

__all__ = ["DemoError", "tell"]

POLL_SECONDS = 3
_ARRIVAL_SECONDS = 60


def tell(*, once: bool, keep: bool) -> None:
    """Run the demo. Raises DemoError where something did not do what it should, KeyboardInterrupt on Ctrl-C."""
    console = Console(highlight=False, soft_wrap=False)
    with interruptible(), _folder(console, keep=keep) as folder, ExitStack() as servers:
        try:
            story = _begin(console, servers, folder)
            _first_sync(story)
            _change(story)
        except (CalDavError, CalendarSyncError) as error:
            raise DemoError(str(error)) from error
        narrator.curl_lines(console, story.server.url, story.key, story.pair, story.owners[HOME])
        if once:
            console.print("\nThat was all. Without [bold]--once[/] it keeps running, for you to play with.")
        else:
            _go_on(story)
        if keep:
            narrator.start_again(console, folder, story.own.environment, story.server.url)


@dataclass(frozen=True)
class _Story:
    console: Console
    fortnight: Fortnight
    owners: Mapping[str, Owner]
    own: Installation
    server: Server
    client: CalendarSync
    key: str = field(repr=False)
    pair: str


@contextmanager
def _folder(console: Console, *, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="calendarsync-demo-"))
    try:
        yield folder
    finally:
        with undisturbed():
            if keep:
                console.print(f"Kept: {folder}", soft_wrap=True)
            else:
                shutil.rmtree(folder, ignore_errors=True)


def _begin(console: Console, servers: ExitStack, folder: Path) -> _Story:
    """Start everything and pair the calendars, through the command line and the public API."""
    plan = fortnight(datetime.now(BERLIN).date())
    narrator.chapter(console, "A CalDAV server with a Work and a Home calendar")
    owners = servers.enter_context(radicale(folder / "radicale"))
    for owner in owners.values():
        owner.make_calendar()
    for sample in plan.samples:
        owners[sample.calendar].put(sample.resource, sample.data)
    narrator.calendars(console, owners, plan)

    narrator.chapter(console, "CalendarSync, on a database of its own")
    own = installation(folder / "calendarsync", POLL_SECONDS)
    server = servers.enter_context(calendarsync(own))
    narrator.step(console, "calendarsync serve", server.url)
    account = own.command("accounts", "create", "--email", "you@example.com")
    narrator.step(console, "calendarsync accounts create --email you@example.com", account)
    key = own.command("keys", "create", "--account", "you@example.com")
    narrator.step(console, "calendarsync keys create --account you@example.com", f"{key[:12]}...")

    narrator.chapter(console, "Two connections and a pair, through the public API")
    client = servers.enter_context(CalendarSync(key, base_url=server.url))
    a, b = (_connect(console, client, owners[name]) for name in (WORK, HOME))
    pair = client.sync_pairs.create(a, b, sync_mode="blocker", direction="bidirectional").id
    narrator.step(console, "POST /api/v1/sync-pairs  blocker, bidirectional", pair)
    return _Story(console, plan, owners, own, server, client, key, pair)


def _connect(console: Console, client: CalendarSync, owner: Owner) -> str:
    """Discover the owner's calendars and connect the only one."""
    access = {"url": owner.root, "username": owner.username, "password": owner.password}
    calendars = client.connections.discover("caldav", **access)
    if not calendars:
        raise DemoError(f"no calendar was discovered at {owner.root}")
    connection = client.connections.create(
        "caldav", **access, calendar_id=calendars[0].id, email=owner.address
    )
    narrator.step(console, f"POST /api/v1/connections  {owner.name}", connection.id)
    return connection.id


def _first_sync(story: _Story) -> None:
    console = story.console
    narrator.chapter(console, "The first sync")
    _trigger(story)
    again = _trigger(story)
    narrator.say(console, f"POST /api/v1/sync-pairs/{story.pair}/trigger, twice; the runs:")
    narrator.runs(console, story.client.logs.list(pair_id=story.pair).all())
    if again.events_created or again.events_updated or again.events_deleted:
        raise DemoError(f"a second run should have nothing to write, and told {again}")
    reading = _read_and_check(story, story.fortnight)
    narrator.outcomes(console, [reading.outcome(sample) for sample in story.fortnight.samples])
    narrator.chapter(console, "The week from today, as the CalDAV server shows it")
    narrator.picture(console, reading, story.fortnight)


def _trigger(story: _Story) -> SyncResult:
    report = story.client.sync_pairs.trigger(story.pair)
    if not report.success:
        raise DemoError(f"the sync failed: {report}")
    return report


def _change(story: _Story) -> None:
    """Move an event at the server, as its owner's telephone would, and wait for the schedule to carry it over."""
    after = story.fortnight.after_move()
    narrator.chapter(story.console, "A change at the CalDAV server")
    story.owners[HOME].put(after.moved.resource, after.moved.data)
    started = time.monotonic()
    while not read(story.owners, after).outcome(after.moved).as_expected:
        if time.monotonic() - started > _ARRIVAL_SECONDS:
            raise DemoError(f"{after.moved.title!r} was moved, and its copy did not follow")
        time.sleep(0.1)
    narrator.arrival(story.console, after, time.monotonic() - started, POLL_SECONDS)
    narrator.picture(story.console, _read_and_check(story, after), after)


def _read_and_check(story: _Story, expected: Fortnight) -> Reading:
    reading = read(story.owners, expected)
    if problems := reading.problems(expected):
        raise DemoError("the calendars do not hold what they should:\n" + "\n".join(problems))
    return reading


def _go_on(story: _Story) -> None:
    story.console.print("\nRunning until you press [bold]Ctrl-C[/].")
    try:
        while story.server.process.poll() is None:
            time.sleep(0.2)
    except KeyboardInterrupt:
        story.console.print("\nEnded.")
        return
    raise DemoError("CalendarSync ended by itself; its log ends with:\n" + story.own.log_tail())
