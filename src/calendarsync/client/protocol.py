"""What both flavours share, and what does no I/O: how a request looks, and what an answer means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
from pydantic import ValidationError

from calendarsync.client import errors
from calendarsync.client.models import Model
from calendarsync.client.retries import retry_after

Result = TypeVar("Result", bound=Model)

IDEMPOTENCY_KEY = "Idempotency-Key"

_ERRORS: Mapping[int, type[errors.APIError]] = {
    401: errors.AuthenticationError,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    409: errors.Conflict,
    422: errors.ValidationError,
    429: errors.RateLimited,
}


class _Left(Enum):
    AS_IT_IS = "as it is"

    def __repr__(self) -> str:
        return "UNCHANGED"


Unchanged = Literal[_Left.AS_IT_IS]
UNCHANGED: Final = _Left.AS_IT_IS
"""For a field that may be null: leave it as it is."""


Query = Mapping[str, str | list[str]]


@dataclass(frozen=True)
class Call:
    """One request. `path` is the part after `/api/v1`; a body may hold a password, so it is in no repr."""

    method: str
    path: str
    query: Query = field(default_factory=dict)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.method} /api/v1{self.path}"

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method == "GET" or IDEMPOTENCY_KEY in self.headers


def get(path: str, **query: object) -> Call:
    return Call("GET", path, parameters(query))


def post(path: str, body: Mapping[str, object] | None = None, **headers: str) -> Call:
    """Every POST has a key of its own, which stays the same when it is sent again."""
    return Call("POST", path, body=body or {}, headers={IDEMPOTENCY_KEY: str(uuid4()), **headers})


def patch(path: str, body: Mapping[str, object]) -> Call:
    return Call("PATCH", path, body=body)


def delete(path: str, **query: object) -> Call:
    return Call("DELETE", path, parameters(query))


def part(identifier: str) -> str:
    """An id as a part of a path. Raises ValueError for what would name another path."""
    if identifier in ("", ".", ".."):
        raise ValueError(f"{identifier!r} is no id")
    return quote(identifier, safe="")


def fields(**given: object) -> dict[str, object]:
    """A body of what was given: None and UNCHANGED leave a field out."""
    return {name: _plain(value) for name, value in given.items() if value not in (None, UNCHANGED)}


def nullable(**given: object) -> dict[str, object]:
    """The same of fields that may be null: only UNCHANGED leaves one out."""
    return {name: _plain(value) for name, value in given.items() if value is not UNCHANGED}


def parameters(given: Mapping[str, object]) -> Query:
    """Query parameters; None leaves one out, a list gives it several times."""
    return {name: _text(value) for name, value in given.items() if value is not None}


def written(value: date) -> str:
    """A moment as RFC 3339 in UTC, a day as it is. Raises ValueError for a moment without its offset."""
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.tzinfo is None:
        raise ValueError("a datetime needs its tzinfo, such as datetime.now(UTC)")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _plain(value: object) -> object:
    return written(value) if isinstance(value, date) else value


def _text(value: object) -> str | list[str]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [str(_plain(each)) for each in value]
    return str(value).lower() if isinstance(value, bool) else str(_plain(value))


def result_of(kind: type[Result], call: Call, response: httpx.Response) -> Result:
    """Raises UnexpectedAnswer where the body is not what this version of the API answers, or later ones add to."""
    try:
        return kind.model_validate_json(response.content)
    except ValidationError:
        raise _unexpected(call, response) from None


def nothing_of(call: Call, response: httpx.Response) -> None:
    """Raises UnexpectedAnswer where the server does not say that it is done, and no more than that."""
    if response.status_code != 204:
        raise _unexpected(call, response)


class _Refused(Model, frozen=True):
    code: str
    message: str
    request_id: str | None = None
    details: tuple[errors.Detail, ...] = ()


class _ErrorBody(Model, frozen=True):
    error: _Refused


def error_of(call: Call, response: httpx.Response) -> errors.CalendarSyncError:
    """What to raise for an answer that is no success."""
    status = response.status_code
    if status < 400:
        return _unexpected(call, response)
    kind = _ERRORS.get(status, errors.ServerError if status >= 500 else errors.APIError)
    told = _told(call, response)
    return kind(
        status,
        told.code,
        told.message,
        request_id=told.request_id or response.headers.get("x-request-id"),
        details=told.details,
        retry_after=retry_after(response),
    )


def _told(call: Call, response: httpx.Response) -> _Refused:
    """The API's own words; ours where something in between answered."""
    try:
        return _ErrorBody.model_validate_json(response.content).error
    except ValidationError:
        status = response.status_code
        message = f"{call.label} was answered by {status}, and without a reason"
        return _Refused(code=f"http_{status}", message=message)


def failure_of(call: Call, error: httpx.RequestError) -> errors.CalendarSyncError:
    """What to raise for a request that got no answer."""
    if isinstance(error, httpx.TimeoutException):
        return errors.TimedOut(f"{call.label}: no answer in time")
    if isinstance(error, httpx.TransportError):
        return errors.ConnectionFailed(f"{call.label}: {str(error) or type(error).__name__}")
    return errors.UnexpectedAnswer(f"{call.label}: the answer cannot be read")


def _unexpected(call: Call, response: httpx.Response) -> errors.UnexpectedAnswer:
    return errors.UnexpectedAnswer(
        f"{call.label} was answered by {response.status_code}, but not as a CalendarSync server does; is the "
        "base URL right?"
    )


@dataclass(frozen=True)
class RateLimit:
    """How much of the account's allowance is left, as the last answer told it. `resets_at` is in UTC."""

    limit: int
    remaining: int
    resets_at: datetime


def rate_limit_of(response: httpx.Response) -> RateLimit | None:
    """None where an answer does not tell it."""
    told = [response.headers.get(f"x-ratelimit-{name}", "") for name in ("limit", "remaining", "reset")]
    try:
        limit, remaining, reset = map(int, told)
        return RateLimit(limit, remaining, datetime.fromtimestamp(reset, UTC))
    except (ValueError, OverflowError, OSError):  # the last two: a time that no clock tells
        return None


class Listing(Generic[Result]):
    """A list that comes in parts: where it is, what it holds, and where the next part begins."""

    def __init__(
        self, kind: type[Result], path: str, key: str, query: Mapping[str, object], *, cursor: bool = False
    ) -> None:
        """`key` is where the answer has the items; `cursor`: the answer names its next part, else an id does."""
        self._kind, self._path, self._key = kind, path, key
        self._query = parameters(query)
        self._cursor = cursor

    def first(self) -> Call:
        return Call("GET", self._path, self._query)

    def read(self, call: Call, response: httpx.Response) -> tuple[list[Result], Call | None]:
        """The items of one part, and the call for the next."""
        try:
            body = json.loads(response.content)
            items = [self._kind.model_validate(each) for each in body[self._key]]
            following = self._following(body)
        except (ValueError, LookupError, TypeError, RecursionError):
            raise _unexpected(call, response) from None
        if following is None:
            return items, None
        query = {**self._query, **following}
        if query == call.query:
            raise _unexpected(call, response)  # it would never end
        return items, Call("GET", self._path, query)

    def _following(self, body: Mapping[str, Any]) -> dict[str, str] | None:
        if self._cursor:
            cursor = body.get("next_cursor")
            return {"cursor": str(cursor)} if cursor else None
        items = body[self._key]
        return {"starting_after": str(items[-1]["id"])} if body.get("has_more") and items else None
