"""Faults on command: what the next matching calls meet instead of, or after, what they asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatch
from threading import Lock

from .errors import LIMITS, ApiError, limit

_REASONS = {
    400: ("badRequest", "Bad Request"),
    401: ("authError", "Invalid Credentials"),
    403: ("forbidden", "Forbidden"),
    404: ("notFound", "Not Found"),
    409: ("duplicate", "The requested identifier already exists."),
    410: ("fullSyncRequired", "Sync token is no longer valid, a full sync is required."),
    412: ("conditionNotMet", "Precondition Failed"),
    429: ("rateLimitExceeded", "Rate Limit Exceeded"),
    500: ("backendError", "Backend Error"),
    502: ("badGateway", "Bad Gateway"),
    503: ("backendError", "Backend Error"),
    504: ("gatewayTimeout", "Gateway Timeout"),
}


@dataclass
class Fault:
    """What happens to the next `times` calls that match; `met` counts those that did.

    `method`: a pattern of method ids without `calendar.`, such as `events.insert` or `events.*`; `batch` is the
    outer request of a batch, whose parts are calls of their own. `email` and `calendar`: whose call, on which id.
    `status` and `reason`: the error that is answered; None leaves the answer as it is.
    `after`: the call takes effect, then the error is answered. `retry_after`: seconds for that header.
    `delay`: seconds before the answer. `torn`: the answer breaks off after so many bytes. `dropped`: the
    connection closes with no answer at all. These three are for whole HTTP requests, not for a part of a batch.
    """

    status: int | None = None
    reason: str | None = None
    method: str = "*"
    email: str | None = None
    calendar: str | None = None
    after: bool = False
    retry_after: float | None = None
    delay: float = 0.0
    torn: int | None = None
    dropped: bool = False
    times: int = 1
    met: int = 0

    def error(self) -> ApiError | None:
        if self.status is None:
            return limit("rateLimitExceeded") if self.dropped and not self.after else None
        if self.reason in LIMITS:
            return limit(self.reason, self.status, self.retry_after)
        usual, message = _REASONS[self.status]
        headers = {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}
        return ApiError(self.status, self.reason or usual, message, headers=headers)


@dataclass
class Faults:
    """The faults that are ordered, first come, first met."""

    collisions: int = 0  # so many inserts of an id that is taken are answered as if it were free
    _ordered: list[Fault] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def order(self, fault: Fault) -> Fault:
        with self._lock:
            self._ordered.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._ordered.clear()
            self.collisions = 0

    def overlook_collision(self) -> bool:
        """ "We cannot guarantee that ID collisions will be detected at event creation time" (Event.id)."""
        with self._lock:
            overlooked = self.collisions > 0
            self.collisions -= overlooked
        return overlooked

    def meet(self, method: str, email: str | None, calendar: str | None) -> Fault | None:
        """The fault that this call meets, if any; it is used up by that."""
        with self._lock:
            for fault in self._ordered:
                if (
                    fault.met < fault.times
                    and fnmatch(method.removeprefix("calendar."), fault.method)
                    and fault.email in (None, email)
                    and fault.calendar in (None, calendar)
                ):
                    fault.met += 1
                    return fault
        return None
