"""An endpoint on a developer's machine: what arrives is verified, and handed on or complained about."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Protocol

from aiohttp import web
from pydantic import ValidationError

from calendarsync.cli.common import printable
from calendarsync.client import Event, SignatureInvalid, verify_webhook

MAX_BODY_BYTES = 256 * 1024
BODY_SECONDS = 10.0
_REMEMBERED = 1000  # ids of events; the rest of a long session counts as new


class Output(Protocol):
    def event(self, event: Event, body: bytes, *, again: bool) -> None:
        """`again`: an event of this id came before."""

    def complaint(self, text: str) -> None:
        """Something came that is no delivery; `text` holds nothing of it but the method."""


class Receiver:
    """`secret` is what deliveries are signed with; while it is None they are put off.

    `stop` is set when nobody reads the output any more; others may set it as well.
    """

    def __init__(self, output: Output, secret: str | None = None) -> None:
        self.secret = secret
        self.stop = asyncio.Event()
        self._output = output
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def handle(self, request: web.Request) -> web.Response:
        """204 for what verifies; 400, 401, 405, 408 or 413 for junk; 503 before the secret is known."""
        if self.secret is None:
            return web.Response(status=503)
        try:
            body = await _body_of(request)
            event = _verified(body, request, self.secret)
        except _RefusedError as refused:
            self._output.complaint(f"Refused with {refused.status}: {refused.what}")
            return web.Response(status=refused.status, headers=refused.headers)
        try:
            self._output.event(event, body, again=event.id in self._seen)
        except BrokenPipeError:
            self.stop.set()
            return web.Response(status=503)
        self._seen[event.id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return web.Response(status=204)


class _RefusedError(Exception):
    def __init__(self, status: int, what: str, **headers: str) -> None:
        super().__init__(status, what)
        self.status = status
        self.what = what
        self.headers = headers


async def _body_of(request: web.Request) -> bytes:
    if request.method != "POST":
        raise _RefusedError(405, f"{printable(request.method[:20])} instead of POST", Allow="POST")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _RefusedError(413, f"a body of more than {MAX_BODY_BYTES:,} bytes") from None
    except TimeoutError:
        raise _RefusedError(408, "a body that did not arrive in time", Connection="close") from None


def _verified(body: bytes, request: web.Request, secret: str) -> Event:
    try:
        return verify_webhook(body, request.headers, secret)
    except SignatureInvalid as error:
        status = 401 if error.code in ("no_match", "too_old", "too_new") else 400
        raise _RefusedError(status, f"a request that is no delivery: {error.message}") from None


@asynccontextmanager
async def receiving(receiver: Receiver, listener: socket.socket) -> AsyncIterator[None]:
    """Have `receiver` answer on a listening socket, whatever the path."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    # What is signed is the body as it was sent; and nothing that unpacks to gigabytes is unpacked.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, auto_decompress=False)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()


def describe(event: Event) -> str:
    """One line for people."""
    try:
        text = _told(event)
    except (ValidationError, KeyError, ValueError):  # of a later server
        text = json.dumps(event.data, ensure_ascii=False)
    return printable(text)


def _told(event: Event) -> str:
    match event.type:
        case "sync.completed":
            log = event.log
            counts = (
                f"{log.events_created} created, {log.events_updated} updated, {log.events_deleted} deleted"
            )
            partly = ", not everything" if log.status == "partial" else ""
            return f"{log.pair_id}: {counts}{partly} ({log.id})"
        case "sync.failed":
            log = event.log
            why = f"{log.error.message} [{log.error.code}]" if log.error else "failed"
            return f"{log.pair_id}: {why} ({log.id})"
        case "connection.expired":
            connection = event.connection
            return f"{connection.calendar_name} ({connection.provider}, {connection.id}) needs consent again"
        case "webhook.test":
            return str(event.data["message"])
    raise ValueError(event.type)


def clock(moment: datetime) -> str:
    """The time of day where the reader is."""
    return time.strftime("%H:%M:%S", time.localtime(moment.timestamp()))
