"""The errors of routes, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from calendarsync.api.errors import ErrorBody

Responses = dict[int | str, dict[str, Any]]


def _error(status: int, description: str) -> Responses:
    return {status: {"model": ErrorBody, "description": description}}


EVERYWHERE: Responses = {
    **_error(401, "The key is missing, malformed, unknown, expired or revoked."),
    **_error(403, "The key does not have the scope."),
    **_error(422, "The body or a parameter failed validation; `details` names the fields."),
    **_error(500, "Our fault."),
    **_error(503, "Our database does not answer; `Retry-After` says when to ask again."),
}
WITH_BODY: Responses = {
    **_error(400, "The body is not JSON, or did not arrive in time."),
    **_error(413, "The body is too large."),
    **_error(415, "The body is not sent as `application/json`."),
}
NOT_FOUND: Responses = _error(404, "There is no such resource for this account and mode.")
CONFLICT: Responses = _error(409, "It does not go together with what there is.")
