"""Faults on command: what the next matching requests meet instead of, or after, what they asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

from .errors import ApiError

_USUAL = {
    400: ("ErrorInvalidRequest", "Your request can't be completed."),
    401: ("InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
    403: ("ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    404: ("ErrorItemNotFound", "The specified object was not found in the store."),
    409: ("ErrorIrresolvableConflict", "The send or update operation could not be performed."),
    410: ("SyncStateNotFound", "The sync state generation is not found."),
    429: ("ApplicationThrottled", "Application is over its MailboxConcurrency limit."),
    500: ("ErrorInternalServerError", "An internal server error occurred. The operation failed."),
    502: ("BadGateway", "Bad Gateway."),
    503: ("ServiceUnavailable", "The service is temporarily unavailable."),
    504: ("GatewayTimeout", "The request timed out at the gateway."),
}


@dataclass
class Fault:
    """What happens to the next `times` requests that match; `met` counts those that did.

    `method`: an HTTP method, `*` for any. `path`: text that stands in the path, without the query, such as
    `/events` or `calendarView/delta`; `$batch` is the outer request of a batch, whose parts are requests of their
    own. `email`: whose mailbox. `status` and `code`: the error that is answered; None leaves the answer as it is.
    `after`: the request takes effect, then the error is answered. `retry_after`: seconds for that header.
    `delay`: seconds before the answer. `torn`: the answer breaks off after so many bytes. The last two apply to
    whole HTTP requests, not to a part of a batch.
    """

    status: int | None = None
    code: str | None = None
    method: str = "*"
    path: str = ""
    email: str | None = None
    after: bool = False
    retry_after: float | None = None
    delay: float = 0.0
    torn: int | None = None
    times: int = 1
    met: int = 0

    def error(self) -> ApiError | None:
        if self.status is None:
            return None
        usual, message = _USUAL[self.status]
        headers = {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}
        return ApiError(self.status, self.code or usual, message, headers=headers)


@dataclass
class Faults:
    """The faults that are ordered, first come, first met."""

    _ordered: list[Fault] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def order(self, fault: Fault) -> Fault:
        with self._lock:
            self._ordered.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._ordered.clear()

    def meet(self, method: str, path: str, email: str | None) -> Fault | None:
        """The fault that this request meets, if any; it is used up by that."""
        with self._lock:
            for fault in self._ordered:
                if (
                    fault.met < fault.times
                    and fault.method in ("*", method)
                    and fault.path in path
                    and fault.email in (None, email)
                ):
                    fault.met += 1
                    return fault
        return None
