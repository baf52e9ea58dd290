"""The HTTP server around the application."""

from __future__ import annotations

import socket

import uvicorn

from calendarsync.api.app import create_app
from calendarsync.api.protocol import Protocol
from calendarsync.api.services import Services

_GRACE_SECONDS = 5  # a worker in the same process takes up to 12 more, and 20 are promised
_KEEP_ALIVE_SECONDS = 30


class Server(uvicorn.Server):
    """Ends the waits of requests as soon as it begins to stop, so that they are answered within its grace."""

    def __init__(self, services: Services) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(services),
                http=Protocol,
                ws="none",
                log_config=None,
                server_header=False,
                # Who is believed about whom a request comes from is a setting of ours.
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._services = services

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._services.stopping.set()
        await super().shutdown(sockets)
