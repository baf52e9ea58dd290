"""`calendarsync serve`."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Annotated

import typer

from calendarsync.cli.common import (
    USAGE,
    configure_logs,
    fail,
    keep_what_is_there,
    listen_on,
    load_settings,
    readable_failures,
    warn_of_role,
)
from calendarsync.settings import PREFIX, Settings
from calendarsync.store.database import Database

_BACKLOG = 2048


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")
    ] = 8000,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Run the schedule as well.")] = True,
) -> None:
    """Run the API and the schedule in one process. Brings an embedded database up to date by itself.

    On PostgreSQL any number of these, and of `calendarsync worker`, share the work.
    """
    settings = load_settings()
    configure_logs()
    with (
        readable_failures(),
        listen_on(host, port, backlog=_BACKLOG) as listener,
        asyncio.Runner(loop_factory=new_loop) as loop,
    ):
        loop.run(_serve(settings, listener, worker=worker))


def new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(settings: Settings, listener: socket.socket, *, worker: bool) -> None:
    from calendarsync.api.server import Server
    from calendarsync.api.services import services_for
    from calendarsync.jobs.process import running

    async with running(settings, schedule=worker) as process:
        await warn_of_role(process.db)
        await _ensure_account(settings, process.db)
        server = Server(services_for(process, settings))
        # uvicorn raises the signal that ended it once more; this way a stop that was asked for is a success.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, server.handle_exit)
        _announce(settings, listener, worker=worker, alone=process.db.backend == "sqlite")
        keep_what_is_there()
        await server.serve(sockets=[listener])


async def _ensure_account(settings: Settings, db: Database) -> None:
    """The first account is made where the settings name its owner, and told of where they do not."""
    from calendarsync.accounts.accounts import ensure_first_account, has_accounts
    from calendarsync.accounts.passwords import Passwords

    if settings.admin_email is None:
        if not await has_accounts(db):
            typer.echo(
                "There is no account yet. Make one: calendarsync accounts create --email you@example.com"
            )
        return
    given = settings.admin_password
    password = given.get_secret_value() if given else None
    try:
        made = await ensure_first_account(db, Passwords(), settings.admin_email, password, now=db.now())
    except ValueError as error:
        fail(f"{PREFIX}ADMIN_EMAIL, {PREFIX}ADMIN_PASSWORD: {error}", USAGE)
    if made:
        typer.echo(f"The first account was made: {made}, {settings.admin_email}")


def _announce(settings: Settings, listener: socket.socket, *, worker: bool, alone: bool) -> None:
    from calendarsync.jobs.pushing import state_of_push

    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    typer.echo(f"Listening on {address}, documentation at {address}/docs")
    typer.echo(f"Database: {settings.database_label}")
    typer.echo(f"Changes told by Google and Microsoft: {state_of_push(settings)}")
    if worker:
        typer.echo(f"{settings.pace} Ctrl-C ends it.")
    elif alone:
        typer.echo("The schedule does not run here (--no-worker); a trigger still does. Ctrl-C ends it.")
    else:
        typer.echo("Pairs are run by `calendarsync worker` processes (--no-worker). Ctrl-C ends it.")
