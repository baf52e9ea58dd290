"""Around every request: its id, headers that keep browsers careful, one line in the log, and the last net."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calendarsync.api.admission import rate_headers
from calendarsync.api.errors import error_response, server_error
from calendarsync.metrics import NO_OPERATION
from calendarsync.observability import describe_exception, get_logger
from calendarsync.store.ids import new_id

_log = get_logger(__name__)

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class RequestContext:
    """The outermost part of the application. `secure`: it is reached by https alone.

    `count` is told of every answer: its operation, status and seconds.
    """

    def __init__(
        self, app: ASGIApp, *, secure: bool, count: Callable[[str, int, float], None] = lambda *_: None
    ) -> None:
        self._app = app
        self._count = count
        self._headers = dict(HEADERS)
        if secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 0
        # Answered as GET, so that every route and every error has it; the answer's body stays here.
        is_head = scope["method"] == "HEAD"
        inner = {**scope, "method": "GET"} if is_head else scope

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                if "allowance" in scope["state"]:
                    headers.update(rate_headers(scope["state"]["allowance"]))
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(inner, receive, send_with_headers)
            except ClientDisconnect:
                status = status or 499
            except asyncio.CancelledError:
                # The server ends and waited long enough. This task ends here, so that nobody else has to be told.
                _log.warning("request cancelled")
                if status:
                    raise
                await error_response(request_id, server_error())(scope, receive, send_with_headers)
            except Exception as error:  # noqa: BLE001 - nothing internal may get out, whatever it was
                _log.error("request failed", **describe_exception(error))
                if not status:
                    await error_response(request_id, server_error())(scope, receive, send_with_headers)
            finally:
                # Not the path: what a caller writes into it is not ours to log.
                operation = getattr(inner.get("route"), "name", None)
                seconds = time.perf_counter() - started
                self._count(operation or NO_OPERATION, status, seconds)
                _log.info(
                    "request",
                    method=scope["method"],
                    operation=operation,
                    status=status,
                    duration_ms=round(seconds * 1000, 1),
                )
