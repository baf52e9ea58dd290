"""Google's errors: a status and the envelope that its API guides show for each of them.

Reasons, domains and messages are those of "Handle API errors" (developers.google.com/calendar/api/guides/errors)
where it lists them; the rest are as client libraries and their users report them, see README.md.
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer that is no success. `reason` is what clients branch on; `status` is the HTTP status."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        domain: str = "global",
        location: tuple[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.headers = headers or {}
        self._message = message
        self._domain = domain
        self._location = location

    def body(self) -> dict[str, Any]:
        """The JSON envelope."""
        detail = {"domain": self._domain, "reason": self.reason, "message": self._message}
        if self._location is not None:
            detail["locationType"], detail["location"] = self._location
        error: dict[str, Any] = {"errors": [detail], "code": self.status, "message": self._message}
        if self.reason == "insufficientPermissions":
            error["status"] = "PERMISSION_DENIED"
            error["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                    "domain": "googleapis.com",
                    "metadata": {"service": "calendar-json.googleapis.com"},
                }
            ]
        return {"error": error}


def invalid(message: str, parameter: str | None = None) -> ApiError:
    location = ("parameter", parameter) if parameter else None
    return ApiError(400, "invalid", message, location=location)


def required(message: str) -> ApiError:
    return ApiError(400, "required", message)


def not_found() -> ApiError:
    return ApiError(404, "notFound", "Not Found")


def duplicate() -> ApiError:
    return ApiError(409, "duplicate", "The requested identifier already exists.")


def deleted() -> ApiError:
    return ApiError(410, "deleted", "Resource has been deleted")


def full_sync_required() -> ApiError:
    return ApiError(
        410,
        "fullSyncRequired",
        "Sync token is no longer valid, a full sync is required.",
        domain="calendar",
        location=("parameter", "syncToken"),
    )


def condition_not_met() -> ApiError:
    return ApiError(412, "conditionNotMet", "Precondition Failed", location=("header", "If-Match"))


def invalid_credentials() -> ApiError:
    return ApiError(
        401,
        "authError",
        "Invalid Credentials",
        location=("header", "Authorization"),
        headers={"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'},
    )


def insufficient_scope() -> ApiError:
    return ApiError(403, "insufficientPermissions", "Request had insufficient authentication scopes.")


def access_level(needed: str) -> ApiError:
    return ApiError(
        403,
        "requiredAccessLevel",
        f"You need to have {needed} access to this calendar.",
        domain="calendar",
    )


def forbidden() -> ApiError:
    return ApiError(403, "forbidden", "Forbidden")


def organizer_only() -> ApiError:
    return ApiError(
        403,
        "forbiddenForNonOrganizer",
        "Shared properties can only be changed by the organizer of the event.",
        domain="calendar",
    )


LIMITS = {
    "rateLimitExceeded": "Rate Limit Exceeded",
    "userRateLimitExceeded": "User Rate Limit Exceeded",
    "quotaExceeded": "Calendar usage limits exceeded.",
    "dailyLimitExceeded": "Daily Limit Exceeded",
}


def limit(reason: str, status: int = 403, retry_after: float | None = None) -> ApiError:
    """A quota that is used up: `reason` is one of `LIMITS`, the status 403 or 429 (documented as alike)."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return ApiError(status, reason, LIMITS[reason], domain="usageLimits", headers=headers)
