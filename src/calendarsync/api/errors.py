"""One body for every error, whatever raised it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from calendarsync.observability import get_logger
from calendarsync.store.database import DatabaseUnavailable

_log = get_logger(__name__)

_RETRY_SECONDS = 5
_MOST_DETAILS = 20  # a body can hold a hundred thousand that are wrong
_LONGEST_NAME = 100  # characters of a caller's own field name that are repeated

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    412: "precondition_failed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "validation_error",
    429: "rate_limited",
    500: "server_error",
    503: "unavailable",
}

# Pydantic's own words speak of Python rather than of JSON, quote patterns, and tell how long a secret is.
_WORDS = {
    "missing": "is required",
    "extra_forbidden": "unknown field",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "literal_error": "must be {expected}",
    "union_tag_not_found": "is required",
    "union_tag_invalid": "must be one of {expected_tags}",
    "too_short": "must be {min_length} or more characters long",
    "too_long": "must be {max_length} or fewer characters long",
    "string_too_short": "must be {min_length} or more characters long",
    "string_too_long": "must be {max_length} or fewer characters long",
    "too_short List": "must be a list of {min_length} or more",
    "too_long List": "must be a list of {max_length} or fewer",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number that is not as long",
}
PROVIDERS = frozenset({"caldav", "ics", "sandbox", "google", "microsoft"})
KINDS_OF_ACCESS = frozenset({"at_provider", "of_grant"})
_OTHER_WORDS = "must be of another form"


class ErrorDetail(BaseModel):
    """`field` is the path to a field of the body, with dots, or a parameter's name."""

    field: str
    message: str


class ErrorContent(BaseModel):
    code: str
    message: str
    request_id: str
    details: list[ErrorDetail] | None = None


class ErrorBody(BaseModel):
    """What every error looks like."""

    error: ErrorContent


class ApiError(Exception):
    """An answer that is an error. `details` are pairs of field and message."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        details: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.details = tuple(details)
        self.headers = dict(headers or {})


def not_found(what: str) -> ApiError:
    return ApiError(404, f"there is no such {what}")


def conflict(message: str) -> ApiError:
    return ApiError(409, message)


def invalid(*details: tuple[str, str]) -> ApiError:
    """A 422 for (field, message) each; of many the first are told."""
    told = details[:_MOST_DETAILS]
    texts = [f"{field}: {message}" for field, message in told]
    if len(details) > len(told):
        texts.append(f"and {len(details) - len(told):,} more")
    return ApiError(422, "; ".join(texts), details=told)


def error_response(request_id: str, error: ApiError) -> JSONResponse:
    content: dict[str, Any] = {
        "code": CODES.get(error.status, "bad_request" if error.status < 500 else "server_error"),
        "message": error.message,
        "request_id": request_id,
    }
    if error.details:
        content["details"] = [{"field": field, "message": message} for field, message in error.details]
    return JSONResponse({"error": content}, error.status, headers=error.headers)


def server_error() -> ApiError:
    return ApiError(500, "something went wrong on our side; the request id helps to find out what")


def unavailable() -> ApiError:
    return ApiError(
        503,
        "the service cannot answer for the moment; ask again a little later",
        headers={"Retry-After": str(_RETRY_SECONDS)},
    )


def answer_to(request: Request, error: Exception) -> JSONResponse | None:
    """What is answered where a route, the framework or the router raises `error`; None: nobody expected it."""
    if isinstance(error, RequestValidationError):
        error = invalid(*details_of(error.errors()))
    elif isinstance(error, HTTPException):
        error = _of_framework(request, error)
    elif isinstance(error, DatabaseUnavailable):
        _log.warning("database unavailable", reason=str(error))
        error = unavailable()
    return error_response(request.state.request_id, error) if isinstance(error, ApiError) else None


def install(app: FastAPI, at_no_route: Callable[[Request], Awaitable[None]]) -> None:
    """Answer all that is raised with our body. `at_no_route` may raise what is to be answered in place of a 404."""

    async def on_error(request: Request, error: Exception) -> JSONResponse:
        answer = answer_to(request, error)
        assert answer is not None
        return answer

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        try:
            await at_no_route(request)
        except (ApiError, DatabaseUnavailable) as refusal:
            error = refusal
        return await on_error(request, error)

    for kind in (ApiError, DatabaseUnavailable, RequestValidationError):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(HTTPException, on_http)


def _of_framework(request: Request, error: HTTPException) -> ApiError:
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed_methods(request))
    phrase = HTTPStatus(error.status_code).phrase.lower()
    message = {404: "there is nothing at this address"}.get(error.status_code, phrase)
    return ApiError(error.status_code, message, headers=headers)


def details_of(errors: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(field, message) for each of Pydantic's errors, whose `loc` begins with the part of the request."""
    return [(_field(each), _message(each)) for each in errors]


def _field(error: Mapping[str, Any]) -> str:
    """`("body", "options", "past_days")` is `options.past_days`; the body as a whole is `body`."""
    location: Sequence[str | int] = error["loc"]
    inner = location[1:] if location[0] in ("body", "query", "path", "header") else location
    if inner and inner[0] in KINDS_OF_ACCESS:  # which kind of body it was taken for
        inner = inner[1:]
    if error["type"].startswith("union_tag_"):
        inner = (*inner, error["ctx"]["discriminator"].strip("'"))
    elif len(inner) > 1 and inner[0] in PROVIDERS:
        inner = inner[1:]
    name = ".".join(str(part) for part in inner) or str(location[0])
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "value_error":  # one of our own validators'
        own: str = error["msg"]
        return own.removeprefix("Value error, ")
    context = error.get("ctx", {})
    kind = error["type"]
    words = _WORDS.get(f"{kind} {context.get('field_type')}") or _WORDS.get(kind, _OTHER_WORDS)
    return words.format_map(context)


def _allowed_methods(request: Request) -> list[str]:
    """Of all routes at the path: each route knows only its own methods."""
    routes: Sequence[BaseRoute] = request.app.routes
    found: set[str] = set()
    for method in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in routes):
            found.add(method)
    if "GET" in found:
        found.add("HEAD")
    return sorted(found)
