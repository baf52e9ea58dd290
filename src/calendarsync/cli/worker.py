"""`calendarsync worker`."""

from __future__ import annotations

import asyncio
import signal

import typer

from calendarsync.cli.common import (
    USAGE,
    configure_logs,
    fail,
    keep_what_is_there,
    load_settings,
    readable_failures,
    warn_of_role,
)
from calendarsync.cli.serve import new_loop
from calendarsync.settings import Settings, backend_of


def worker() -> None:
    """Run pairs, beside any number of other workers on the same PostgreSQL database.

    SIGTERM lets what runs come to its end, or gives it back, within 20 seconds.
    """
    settings = load_settings()
    if backend_of(settings.database_url) == "sqlite":
        fail(
            "SQLite has one worker, and that is in `calendarsync serve`; for more, set a PostgreSQL address",
            USAGE,
        )
    configure_logs()
    with readable_failures(), asyncio.Runner(loop_factory=new_loop) as loop:
        loop.run(_work(settings))


async def _work(settings: Settings) -> None:
    from calendarsync.jobs.process import running

    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with running(settings, schedule=True) as process:
        await warn_of_role(process.db)
        typer.echo(f"Working. {settings.pace} Ctrl-C ends it.")
        keep_what_is_there()
        await ended.wait()
