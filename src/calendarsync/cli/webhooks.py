"""`calendarsync webhooks …`."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from calendarsync.cli.common import USAGE, fail, listen_on, read_key

if TYPE_CHECKING:
    from calendarsync.cli.listening import Receiver
    from calendarsync.client import AsyncCalendarSync, Event
    from calendarsync.client.models import EventName, WebhookWithSecret

app = typer.Typer(help="Receive webhooks while you develop.", no_args_is_help=True)

SECRET_VARIABLE = "CALENDARSYNC_WEBHOOK_SECRET"  # noqa: S105 - a variable's name
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what is refused


@app.callback()
def webhooks() -> None:
    pass


@app.command()
def listen(
    *,
    url: Annotated[
        str | None,
        typer.Option(
            help="Address of the CalendarSync server. Default: CALENDARSYNC_URL, else this machine's."
        ),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="File with the API key. Default: the key in CALENDARSYNC_API_KEY.")
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="Types of events, separated by commas. Default: all.")
    ] = None,
    only_changed: Annotated[
        bool, typer.Option("--only-changed", help="Of completed syncs, only those that wrote something.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 0,
    address: Annotated[
        str | None,
        typer.Option(
            help="What the server is to deliver to, if not to http://HOST:PORT/: a tunnel's address."
        ),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            envvar=SECRET_VARIABLE,
            help="Register nothing: verify the deliveries of an endpoint that has this secret.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one event a line, as JSON.")] = False,
) -> None:
    """Receive webhooks on this machine, verify and print them. Ctrl-C ends it.

    Registers an endpoint for as long as it runs. The server must be allowed to reach this machine:
    CALENDARSYNC_ALLOWED_PRIVATE_NETWORKS=127.0.0.0/8, where both run on one.
    """
    from calendarsync.cli.listening import Receiver

    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # what is no HTTP is no news
    output = _JsonLines() if as_json else _Lines()
    receiver = Receiver(output, None if secret is None else _checked(secret))
    with listen_on(host, port) as listener:
        here = _address_of(listener)
        if secret is not None:
            work = _only_listen(receiver, listener, f"Listening on {here}. Ctrl-C ends it.")
        else:
            if address is None and host in _EVERYWHERE:
                fail(f"name what the server is to deliver to with --address: {host} is no address", USAGE)
            wanted = _Wanted(address or here, _names(events), only_changed)
            work = _register_and_listen(receiver, listener, wanted, url, read_key(key_file))
        asyncio.run(work)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is registered."""

    address: str
    events: Sequence[EventName] | None
    only_changed: bool


async def _only_listen(receiver: Receiver, listener: socket.socket, greeting: str) -> None:
    from calendarsync.cli.listening import receiving

    _stop_on_signals(receiver.stop)
    async with receiving(receiver, listener):
        _say(greeting)
        await receiver.stop.wait()


async def _register_and_listen(
    receiver: Receiver, listener: socket.socket, wanted: _Wanted, url: str | None, key: str | None
) -> None:
    from calendarsync.cli.listening import receiving
    from calendarsync.client import AsyncCalendarSync

    _stop_on_signals(receiver.stop)
    try:
        client = AsyncCalendarSync(key, base_url=url)
    except ValueError as error:
        fail(error, USAGE)
    async with client, receiving(receiver, listener), _registered(client, wanted) as endpoint:
        receiver.secret = endpoint.secret
        _say(
            f"{endpoint.id} delivers to {endpoint.url} in {endpoint.mode} mode: {', '.join(endpoint.events)}."
        )
        _say("It is removed when this ends. Ctrl-C ends it.")
        await receiver.stop.wait()


@asynccontextmanager
async def _registered(client: AsyncCalendarSync, wanted: _Wanted) -> AsyncIterator[WebhookWithSecret]:
    from calendarsync.client import CalendarSyncError, NotFound, ValidationError

    try:
        endpoint = await client.webhooks.create(
            wanted.address, events=wanted.events, only_changed=wanted.only_changed
        )
    except ValidationError as error:
        hint = ""
        if "url" in (detail.field for detail in error.details):
            hint = "\nOn one machine: start the server with CALENDARSYNC_ALLOWED_PRIVATE_NETWORKS=127.0.0.0/8"
        fail(f"{error.message}{hint}")
    except CalendarSyncError as error:
        fail(error)
    try:
        yield endpoint
    finally:
        try:
            await client.webhooks.delete(endpoint.id)
            _say(f"{endpoint.id} is removed.")
        except NotFound:
            _say(f"{endpoint.id} was removed already.")
        except CalendarSyncError as error:
            fail(f"{endpoint.id} is still registered, and could not be removed: {error}")


class _Lines:
    """For people: events on standard output, the rest beside it."""

    def event(self, event: Event, body: bytes, *, again: bool) -> None:
        from calendarsync.cli.listening import clock, describe

        color = typer.colors.GREEN if event.type in ("sync.completed", "webhook.test") else typer.colors.RED
        kind = typer.style(f"{event.type:<18}", fg=color)
        note = " once more" if again else ""
        typer.echo(f"{clock(event.created_at)}  {kind}  {describe(event)}  {event.id}{note}")

    def complaint(self, text: str) -> None:
        _say(text)


class _JsonLines(_Lines):
    def event(self, event: Event, body: bytes, *, again: bool) -> None:
        typer.echo(json.dumps(json.loads(body)))  # one line, whatever the server's format


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _stop_on_signals(stop: asyncio.Event) -> None:
    """The first signal to end sets it; the second ends the process at once."""
    loop = asyncio.get_running_loop()

    def on_signal(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        loop.call_soon_threadsafe(stop.set)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), on_signal)


def _address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _names(events: str | None) -> Sequence[EventName] | None:
    from calendarsync.client.models import EventName

    if events is None:
        return None
    known: Sequence[EventName] = get_args(EventName)
    given = events.replace(",", " ").split()
    for name in given:
        if name not in known:
            fail(f"there is no event {name!r}; there are {', '.join(known)}", USAGE)
    return [name for name in known if name in given]


def _checked(secret: str) -> str:
    from calendarsync.webhooks.signing import key_of

    try:
        key_of(secret)
    except ValueError as error:
        fail(error, USAGE)
    return secret
