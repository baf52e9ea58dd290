"""How the demo speaks: headings, steps, tables and the picture. Fits 80 columns, a pipe, and no colour."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from calendarsync.client.models import Log
from calendarsync.demo.check import OTHER, Outcome, Reading
from calendarsync.demo.data import Fortnight
from calendarsync.demo.picture import FANCY, PLAIN, Signs, legend, week
from calendarsync.demo.server import Owner


def signs(console: Console) -> Signs:
    return FANCY if console.encoding.lower().startswith("utf") else PLAIN


def chapter(console: Console, title: str) -> None:
    console.print(f"\n[bold]{title}[/]")


def step(console: Console, what: str, result: str) -> None:
    console.print(f"  {what:<52} [cyan]{result}[/]", soft_wrap=True)


def say(console: Console, text: str) -> None:
    console.print(f"  {text}", soft_wrap=True)


def calendars(console: Console, owners: Mapping[str, Owner], fortnight: Fortnight) -> None:
    for name, owner in owners.items():
        count = sum(sample.calendar == name for sample in fortnight.samples)
        step(console, f"{name}: {count} events and series", owner.url)


def runs(console: Console, logs: Sequence[Log]) -> None:
    """The runs so far, the oldest first, as GET /logs tells them."""
    table = _table("run by", "status", "read", "created", "updated", "deleted", "requests", "ms")
    for log in reversed(logs):
        events = log.events_synced, log.events_created, log.events_updated, log.events_deleted
        numbers = (*events, log.provider_requests, log.duration_ms)
        table.add_row(log.trigger, log.status, *map(str, numbers))
    console.print(table)


def outcomes(console: Console, found: Sequence[Outcome]) -> None:
    table = _table("in", "event", "what it is", "copy in the other")
    for outcome in found:
        sample = outcome.sample
        table.add_row(sample.calendar, sample.title, sample.about, _result(outcome, signs(console)))
    console.print(table)


def _result(outcome: Outcome, drawn: Signs) -> str:
    if outcome.sample.left_out:
        return f"[dim]none: {outcome.sample.left_out}[/]"
    series = ", a series" if outcome.times > 1 else ""
    return f"[yellow]{drawn.copy}[/] {outcome.copies} of {outcome.times}{series}"


def picture(console: Console, reading: Reading, fortnight: Fortnight) -> None:
    console.print()
    console.print(week(reading.shown, fortnight.today, console.width, signs(console)))
    console.print(legend(signs(console)))


def arrival(console: Console, after: Fortnight, seconds: float, poll_seconds: int) -> None:
    moved = after.moved
    say(console, f"{moved.title!r} in {moved.calendar} is moved to {after.moved_to:%a %d, %H:%M} with a PUT.")
    followed = f"Its copy in {OTHER[moved.calendar]} followed after [bold]{seconds:.1f} s[/]"
    say(console, f"{followed}: the schedule looks every {poll_seconds} s here.")


def curl_lines(console: Console, url: str, key: str, pair: str, owner: Owner) -> None:
    chapter(console, "Go on with")
    auth = '-H "Authorization: Bearer $KEY"'
    lines = (
        f"export KEY={key}",
        f"curl {auth} {url}/api/v1/sync-pairs",
        f"curl -X POST {auth} {url}/api/v1/sync-pairs/{pair}/trigger",
        f"curl {auth} '{url}/api/v1/logs?pair_id={pair}'",
        "# Delete the piano lesson at the CalDAV server, trigger again, and its copy is gone:",
        f"curl -X DELETE -u {owner.username}:{owner.password} {owner.url}piano.ics",
    )
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)
    console.print(f"The API is described at {url}/docs", soft_wrap=True)


def start_again(console: Console, folder: Path, environment: Mapping[str, str], url: str) -> None:
    """The commands that bring kept servers back at the same addresses."""
    chapter(console, "To start again")
    python = shlex.quote(sys.executable)
    ours = [
        f"{name}={shlex.quote(value)}"
        for name, value in environment.items()
        if name.startswith("CALENDARSYNC_")
    ]
    console.print(
        f"{python} -m radicale --config {shlex.quote(str(folder / 'radicale' / 'config'))} &", soft_wrap=True
    )
    port = url.rpartition(":")[2]
    console.print(
        f"{' '.join(ours)} {python} -m calendarsync serve --port {port}", soft_wrap=True, markup=False
    )


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True, header_style="bold")
    for name in names:
        right = name in {"read", "created", "updated", "deleted", "requests", "ms"}
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table
