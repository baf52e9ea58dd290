"""What a call may raise.

CalendarSyncError          everything below; an API key never stands in any of them
├── APIError               the server refused: status, code, message, request_id, details
│   ├── AuthenticationError   401: the key is missing, malformed, unknown, expired or revoked
│   ├── PermissionDenied      403: the key's scopes, its mode or the plan do not allow it
│   ├── NotFound              404: not there, or not this account's, or not of the key's mode
│   ├── Conflict              409: it does not go together with what there is
│   ├── ValidationError       422: `details` names the fields
│   ├── RateLimited           429: too many requests; `retry_after` tells when there may be more
│   └── ServerError           5xx: the server's fault, or that of something in between
├── ConnectionFailed       the server was not reached, or the connection broke
├── TimedOut               no answer, or no end of a run, in the time given
├── UnexpectedAnswer       an answer, but not that of a CalendarSync server
└── SignatureInvalid       a webhook that was not signed with the secret, or that is old
"""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class CalendarSyncError(Exception):
    """`message` is one sentence for people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        """Without a call of the constructor, whose arguments differ: so that a worker process can hand it on."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Detail:
    """What is wrong with one field: its path with dots, or a parameter's name, and words for people."""

    field: str
    message: str


class APIError(CalendarSyncError):
    """`code` is stable and made for programs; `request_id` finds the request in the server's log.

    `retry_after` is in seconds, None where the server does not say.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        request_id: str | None = None,
        details: Sequence[Detail] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.details = tuple(details)
        self.retry_after = retry_after

    def __str__(self) -> str:
        where = f" ({self.request_id})" if self.request_id else ""
        return f"{self.status} {self.code}: {self.message}{where}"


class AuthenticationError(APIError):
    pass


class PermissionDenied(APIError):
    pass


class NotFound(APIError):
    pass


class Conflict(APIError):
    pass


class ValidationError(APIError):
    pass


class RateLimited(APIError):
    pass


class ServerError(APIError):
    pass


class ConnectionFailed(CalendarSyncError):
    pass


class TimedOut(CalendarSyncError):
    pass


class UnexpectedAnswer(CalendarSyncError):
    pass


class SignatureInvalid(CalendarSyncError):
    """`code`: `missing_headers`, `malformed_headers`, `too_old`, `too_new`, `no_match` or `malformed_body`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
