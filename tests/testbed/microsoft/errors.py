"""Errors as Graph answers them: `{"error": {"code", "message", "innerError"}}`.

Source: https://learn.microsoft.com/graph/errors and the pages of the methods. Codes that begin with `Error` are
those of Exchange; which of them answers what is seldom documented.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """What a request is answered with instead of what it asked for."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self, request_id: str, date: str) -> dict[str, Any]:
        inner = {"date": date, "request-id": request_id, "client-request-id": request_id}
        return {"error": {"code": self.code, "message": self.message, "innerError": inner}}


def bad_request(code: str, message: str) -> ApiError:
    return ApiError(400, code, message)


def invalid_token(message: str = "Access token validation failure. Invalid audience.") -> ApiError:
    headers = {"WWW-Authenticate": 'Bearer realm="", error="invalid_token"'}
    return ApiError(401, "InvalidAuthenticationToken", message, headers=headers)


def access_denied() -> ApiError:
    return ApiError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def request_denied() -> ApiError:
    return ApiError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def not_found() -> ApiError:
    return ApiError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def no_user(name: str) -> ApiError:
    message = (
        f"Resource '{name}' does not exist or one of its queried reference-property objects are not present."
    )
    return ApiError(404, "Request_ResourceNotFound", message)


def no_mailbox() -> ApiError:
    message = "The mailbox is either inactive, soft-deleted, or is hosted on-premise."
    return ApiError(404, "MailboxNotEnabledForRESTAPI", message)


def no_segment(segment: str) -> ApiError:
    return bad_request("BadRequest", f"Resource not found for the segment '{segment}'.")


def method_not_allowed() -> ApiError:
    return ApiError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")


def throttled(what: str, seconds: float) -> ApiError:
    """`what`: `MailboxConcurrency`, or the limit of requests in ten minutes."""
    message = f"Application is over its {what} limit."
    return ApiError(
        429, "ApplicationThrottled", message, headers={"Retry-After": f"{max(1, round(seconds))}"}
    )
