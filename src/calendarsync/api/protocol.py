"""HTTP/1.1 on one connection: uvicorn's, with bounds on what a client may send and how slowly."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from calendarsync.api.errors import ApiError, error_response
from calendarsync.api.middleware import HEADERS, RequestContext
from calendarsync.observability import get_logger
from calendarsync.store.ids import new_id

MAX_HEAD_BYTES = 65_536
MAX_CONNECTIONS = 1_000
REQUEST_SECONDS = 30.0
"""How long a client may take for a request. A body that a route reads has its own limit there."""

_LINGER_SECONDS = 1.0
_LINE_EXTRA = len(": \r\n")

_log = get_logger(__name__)


class _HeadTooLargeError(Exception):
    pass


class _TunnelError(Exception):
    """CONNECT: what comes after it would be no HTTP."""


class Protocol(HttpToolsProtocol):
    """The parser keeps no count: complete headers are counted one by one, an incomplete one by what arrives."""

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _unparsed_bytes = 0
    _in_head = False
    _heads = 0
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._restart_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        head = self._heads if self._in_head else None
        self._feed(data)
        if head == self._heads and self._in_head and not self._refused:
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > MAX_HEAD_BYTES:
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = self._unparsed_bytes = 0
        self._in_head = True
        self._heads += 1
        self._restart_deadline()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come this way too, and count as well.
        self._count(len(name) + len(value) + _LINE_EXTRA)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _TunnelError
            return  # the parser ends this message here; it is read anew
        regular = self.app
        if len(self.connections) > MAX_CONNECTIONS:
            self.app = _overloaded
        try:
            super().on_headers_complete()
        finally:
            self.app = regular

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        if self._unanswered():
            self._stop_deadline()
        else:
            self._restart_deadline()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.pipeline:
            self._restart_deadline()

    def send_400_response(self, msg: str) -> None:
        """`msg` is uvicorn's, and says the same whatever is wrong."""
        self._refuse(
            f"the request line and headers are larger than {MAX_HEAD_BYTES} bytes"
            if max(self._head_bytes, self._unparsed_bytes) > MAX_HEAD_BYTES
            else "this is not a valid HTTP request"
        )

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        except httptools.HttpParserUpgrade as offered:
            self._decline_upgrade(data[offered.args[0] :])

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the request once more as if it offered no other protocol (RFC 9110 section 7.8).

        The parser skips the body of one that does, as Java's client always does, and would take it for the next
        request.
        """
        parser = self.parser
        version = parser.get_http_version().encode()
        head = [b"%s %s HTTP/%s\r\n" % (parser.get_method(), self.url, version)]
        head += [b"%s: %s\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the base class does
        self._feed(b"".join((*head, b"\r\n", rest)))

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _HeadTooLargeError

    def _refuse(self, message: str) -> None:
        if cycle := self._unanswered():
            if cycle.response_started or not cycle.more_body:
                # What is wrong came after a whole request, whose own answer must not be mistaken for this one.
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
        request_id = new_id("req")
        response = error_response(request_id, ApiError(400, message))
        for name, value in {**HEADERS, "X-Request-Id": request_id, "Connection": "close"}.items():
            response.headers[name] = value
        lines = (b"%s: %s\r\n" % each for each in (*self.server_state.default_headers, *response.raw_headers))
        self.transport.write(b"".join((STATUS_LINE[400], *lines, b"\r\n", response.body)))
        _log.info("request refused", request_id=request_id, status=400)
        # Closed at once, with bytes still coming, the client would see a reset in place of the answer.
        self._refused = True
        self.transport.write_eof()
        self._stop_deadline()
        self._deadline = self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _unanswered(self) -> RequestResponseCycle | None:
        # Declared as never None, which is what it begins as.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def _restart_deadline(self) -> None:
        self._stop_deadline()
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._on_deadline)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self._unanswered():
            self._restart_deadline()  # a route is at work on it; it decides
        elif self._in_head:
            self._refuse("the request did not arrive in time")
        else:
            self.transport.close()


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:
    error = ApiError(503, "too many connections at this moment; try again soon", headers={"Retry-After": "1"})
    error.headers["Connection"] = "close"
    await error_response(scope["state"]["request_id"], error)(scope, receive, send)


_overloaded = RequestContext(_too_many, secure=False)
