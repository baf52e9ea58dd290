"""Webhooks on the side that receives them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from pydantic import ValidationError

from calendarsync.client.errors import SignatureInvalid
from calendarsync.client.models import Connection, Log, Model
from calendarsync.webhooks.signing import TOLERANCE_SECONDS, SignatureError, verify


class Headers(Protocol):
    """A request's headers as any framework has them."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names, in any case, and values."""


class Event(Model, frozen=True):
    """One delivery. The same event may come more than once, always with the same `id`.

    `type`: `sync.completed`, `sync.failed`, `connection.expired`, `webhook.test`, or one of a later server.
    """

    id: str
    type: str
    created_at: datetime
    data: dict[str, Any]

    @property
    def log(self) -> Log:
        """Of `sync.completed` and `sync.failed`. Raises ValueError for any other."""
        if not self.type.startswith("sync."):
            raise ValueError(f"{self.type} has no log")
        # A delivery may be older than the server that sends it again, and than what it could undo.
        return Log.model_validate({"undid": None, **self.data})

    @property
    def connection(self) -> Connection:
        """Of `connection.expired`. Raises ValueError for any other."""
        if not self.type.startswith("connection."):
            raise ValueError(f"{self.type} has no connection")
        return Connection.model_validate(self.data)


def verify_webhook(
    body: bytes | str, headers: Headers, secret: str, *, tolerance: float = TOLERANCE_SECONDS
) -> Event:
    """The event of a request that was signed with `secret` at most `tolerance` seconds ago.

    `body` is the request's, untouched: bytes that were parsed and written again have another signature. Raises
    SignatureInvalid for what did not come from there, and for what is old; ValueError where `secret` is none.
    """
    raw = body.encode(errors="replace") if isinstance(body, str) else body
    try:
        verify(secret, dict(headers.items()), raw, now=time.time(), tolerance_seconds=tolerance)
    except SignatureError as error:
        raise SignatureInvalid(error.code, error.message) from None
    try:
        return Event.model_validate_json(raw)
    except ValidationError:
        raise SignatureInvalid("malformed_body", "The body is signed, but it is not an event.") from None
