"""`calendarsync onboard …`."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calendarsync.cli.common import FAILED, USAGE, fail, read_key

if TYPE_CHECKING:
    from calendarsync.cli.onboarding.people import People
    from calendarsync.cli.onboarding.results import Results

INTERRUPTED = 130  # 128 + SIGINT, as shells count
_SHOWN = 10

Default = Annotated[str, typer.Option(help="Where the file does not say.")]


def onboard(
    file: Annotated[Path, typer.Argument(help="CSV with a row for each person: see the guide.")],
    *,
    url: Annotated[
        str | None,
        typer.Option(help="The server.", envvar="CALENDARSYNC_URL", show_default="http://127.0.0.1:8000"),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="File that holds the API key. Default: CALENDARSYNC_API_KEY.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Result file. Default: people.results.csv beside people.csv.")
    ] = None,
    a_provider: Default = "",
    a_url: Default = "",
    b_provider: Default = "",
    b_url: Default = "",
    sync_mode: Default = "blocker",
    direction: Default = "bidirectional",
    concurrency: Annotated[int, typer.Option(min=1, max=32, help="Requests at once.")] = 8,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file alone, and send nothing.")
    ] = False,
) -> None:
    """Connect and pair the calendars of everybody in a CSV file, through the public API.

    What came of each row is written to the result file as it goes. Run it again to go on: what is done is not
    done twice. Exit status: 0 all rows are done, 1 some are not, 2 the file or the options cannot be used.
    """
    from calendarsync.cli.onboarding.people import UnusableFile, read_people
    from calendarsync.cli.onboarding.results import Results

    given = {
        "a_provider": a_provider,
        "a_url": a_url,
        "b_provider": b_provider,
        "b_url": b_url,
        "sync_mode": sync_mode,
        "direction": direction,
    }
    try:
        people = read_people(file, {name: value for name, value in given.items() if value})
        _warn_of_readers(file, people)
        if dry_run:
            typer.echo(
                f"{file}: {len(people.rows):,} rows, and nothing is wrong with them. Nothing was sent."
            )
            return
        kept = Results(results or file.with_suffix(f".results{file.suffix or '.csv'}"), people)
    except UnusableFile as error:
        fail("\n".join(f"{file}: {problem}" for problem in error.problems), USAGE)
    _onboard(people, kept, key=read_key(key_file), url=url, concurrency=concurrency)


def _onboard(people: People, results: Results, *, key: str | None, url: str | None, concurrency: int) -> None:
    """Do it, and end with the exit status that says what came of it."""
    from calendarsync.cli.onboarding.bar import Bar
    from calendarsync.cli.onboarding.work import Onboarding
    from calendarsync.client import AsyncCalendarSync, CalendarSyncError

    try:
        # What the client waits for by itself, the bar does not tell.
        client = AsyncCalendarSync(key, base_url=url, longest_wait=10)
    except ValueError as error:
        fail(error, USAGE)

    async def run() -> None:
        async with client:
            with Bar(lambda: client.rate_limit) as bar:
                await Onboarding(client, people.rows, results, bar).run(concurrency)

    again = f"What is done stands in {results.path}. Run the same command again to go on."
    try:
        results.write()  # before anything is done, so that what is done is not lost to a folder without room
        try:
            asyncio.run(run())
        finally:
            results.write()
    except OSError as error:
        fail(f"{results.path} cannot be written: {error.strerror}")
    except CalendarSyncError as error:
        fail(f"{error}\n{again}")
    except KeyboardInterrupt:
        typer.echo(f"Interrupted. {again}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _tell(people, results)


def _tell(people: People, results: Results) -> None:
    failed = [(each, results.of(each)) for each in people.rows if results.of(each).status != "done"]
    typer.echo(f"{len(people.rows):,} rows: {len(people.rows) - len(failed):,} done, {len(failed):,} failed.")
    for person, outcome in failed[:_SHOWN]:
        typer.echo(f"  line {person.line}, {person.email}: {outcome.error_code}: {outcome.error_message}")
    if len(failed) > _SHOWN:
        typer.echo(f"  and {len(failed) - _SHOWN:,} more")
    typer.echo(f"Results: {results.path}")
    if failed:
        raise typer.Exit(FAILED)


def _warn_of_readers(file: Path, people: People) -> None:
    if any(person.a.password or person.b.password for person in people.rows) and _others_read(file):
        typer.echo(
            f"{file} holds passwords, and others on this machine can read it: chmod 600 {file}", err=True
        )


def _others_read(file: Path) -> bool:
    return bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
