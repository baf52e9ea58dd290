"""The OpenAPI document: what FastAPI reads in the routes, and what holds for all of them, said once here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from calendarsync.api.errors import CODES
from calendarsync.api.examples import ANSWERS, BODIES
from calendarsync.api.route import SECURITY_SCHEME
from calendarsync.api.webhook_documents import WEBHOOK_SCHEMAS, WEBHOOKS

DESCRIPTION = """Keeps calendars in step.

Requests and answers are JSON; times are RFC 3339 in UTC. Send a key as `Authorization: Bearer cs_live_…`; a
`cs_test_…` key sees a world of its own, with made-up calendars. Each operation names the scope that its key needs.

Every error has the same body, and every answer an `X-Request-Id`. Every answer to a request with a valid key says
how many requests the account has left (`X-RateLimit-Remaining`). A POST with an `Idempotency-Key` is safe to send
again. A GET answers with an `ETag`: send it as `If-None-Match` to hear of changes alone, and as `If-Match` to
change only what you have seen.
"""

TAGS = {
    "Connections": "One calendar in one account at a provider.",
    "Delegations": "What organisations give, so that their people need not grant anything one by one.",
    "Sync pairs": "Two connections that are kept in step, in one direction or both.",
    "Logs": "What came of every run. Never what is in an event.",
    "Availability": "When people are busy, over any of their connections.",
    "Webhooks": "Addresses of yours that are told of events, and the log of their deliveries.",
    "Account": "The plan, its limits, and what is used of them.",
    "API keys": "Keys of the caller's own mode, with no scopes but its own.",
    "Sandbox": "Made-up calendars for test keys, with faults on demand and a clock that can be moved.",
    "Health": "For load balancers and monitoring: no key, no limit.",
}

_PARAMETERS = {
    "Idempotency-Key": (
        "A name of your choice for this request, such as a UUID. Sent again within 24 hours with the same body, it"
        " gets the first answer once more, and nothing is done twice.",
        {
            "type": "string",
            "maxLength": 255,
            "pattern": "^[!-~]([ -~]*[!-~])?$",  # spaces around it belong to no header's value
            "examples": ["9b2f6c1e-onboarding-17"],
        },
    ),
    "If-None-Match": (
        "The `ETag` of an earlier answer: 304 without a body where nothing has changed.",
        {"type": "string", "examples": ['"5f0c2b"']},
    ),
    "If-Match": (
        "The `ETag` of what you have seen: 412 where it is something else by now.",
        {"type": "string", "examples": ['"5f0c2b"']},
    ),
}

# Type and words; those that are always there where an answer names them stand in _ALWAYS.
_HEADERS: dict[str, tuple[str, str]] = {
    "X-Request-Id": ("string", "Names this request in the server's log."),
    "X-RateLimit-Limit": ("integer", "Requests an hour."),
    "X-RateLimit-Remaining": ("integer", "Requests left in this hour."),
    "X-RateLimit-Reset": ("integer", "When the hour ends and the count begins anew, in Unix seconds."),
    "Retry-After": ("integer", "Seconds to wait before asking again."),
    "WWW-Authenticate": ("string", "What is missing, after RFC 6750."),
    "ETag": ("string", "Of this state of what was asked for."),
    "Location": ("string", "Where the new thing is."),
    "Idempotency-Replayed": ("string", "`true` where this is an earlier answer once more."),
}
_LIMIT = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_ALWAYS = frozenset({"X-Request-Id", *_LIMIT, "Retry-After", "ETag"})

# What each error says where the operation does not say it in its own words.
_ERRORS: dict[int, tuple[str, str]] = {
    400: ("The body is not JSON, or did not arrive in time.", "the body is not JSON: line 1, column 2"),
    401: ("The key is missing, malformed, unknown, expired or revoked.", "the API key is not valid"),
    403: (
        "The key's scopes or mode do not allow this.",
        "the API key does not have the scope pairs:write",
    ),
    404: ("There is no such resource for this account and mode.", "there is no such sync pair"),
    409: (
        "It does not go together with what there is; or the `Idempotency-Key` is in use, or had another body.",
        "the pair pair_xyz789 copies between these calendars in this direction already",
    ),
    412: ("It is not what `If-Match` names any more.", "it has changed since you read it; read it again"),
    413: ("The body is larger than 1 MB.", "the body is larger than 1000000 bytes"),
    415: (
        "The body is not sent as `application/json`.",
        "send the body as Content-Type: application/json, in UTF-8",
    ),
    422: (
        "The body or a parameter failed validation; `details` names the fields.",
        "connection_b_id: no such connection",
    ),
    429: ("Too many requests.", "this account has used its 100 requests of this hour"),
    500: (
        "Our fault.",
        "something went wrong on our side; the request id helps to find out what",
    ),
    503: (
        "Our database does not answer.",
        "the service cannot answer for the moment; ask again a little later",
    ),
}
_ERROR_HEADERS = {
    401: ("WWW-Authenticate",),
    403: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_WITHOUT_LIMIT = frozenset({500, 503})
"""Where the count could not be told, since it is in the database."""

_FIRST_SENTENCE = re.compile(r"(.+?)\.(?:\s+|$)(.*)", re.DOTALL)


def complete(document: dict[str, Any]) -> None:
    """Add, in place, all that a reader of the API needs and that no route says by itself."""
    components = document["components"]
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["schemas"] |= WEBHOOK_SCHEMAS
    components["securitySchemes"] = {
        SECURITY_SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, `cs_live_…` or `cs_test_…`. The names at each operation are scopes.",
        }
    }
    components["headers"] = {
        name: {"description": text, "required": name in _ALWAYS, "schema": {"type": kind}}
        for name, (kind, text) in _HEADERS.items()
    }
    components["parameters"] = {
        name: {"name": name, "in": "header", "required": False, "description": text, "schema": schema}
        for name, (text, schema) in _PARAMETERS.items()
    }
    components["responses"] = {CODES[status]: _error(status) for status in _ERRORS}
    document["info"]["license"] = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}
    document["servers"] = [{"url": "/", "description": "The installation that serves this document."}]
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    document["webhooks"] = WEBHOOKS
    for methods in document["paths"].values():
        for method, operation in methods.items():
            _complete_operation(method, operation, has_get="get" in methods)


def _complete_operation(method: str, operation: dict[str, Any], *, has_get: bool) -> None:
    _split_description(operation)
    responses: dict[str, Any] = operation["responses"]
    keyed = "security" in operation
    if keyed:
        for name in _conventions(method, has_get=has_get):
            operation.setdefault("parameters", []).append({"$ref": f"#/components/parameters/{name}"})
        for error in _errors_of(method, operation, has_get=has_get):
            responses.setdefault(str(error), {"description": ""})
        if method == "get":
            responses["304"] = {"description": "Nothing has changed since `If-None-Match`."}
    if body := operation.get("requestBody"):
        body["content"]["application/json"]["examples"] = _named(BODIES.get(operation["operationId"], {}))
    for status, response in responses.items():
        responses[status] = (
            _as_error(int(status), response, keyed=keyed)
            if int(status) >= 400 and not _has_model_of_its_own(response)
            else _as_answer(method, int(status), response, operation["operationId"], keyed=keyed)
        )
    operation["responses"] = dict(sorted(responses.items()))


def _split_description(operation: dict[str, Any]) -> None:
    """The first sentence is the summary."""
    found = _FIRST_SENTENCE.fullmatch(operation.pop("description").strip())
    assert found is not None, operation["operationId"]
    operation["summary"] = found[1].replace("\n", " ")
    if found[2]:
        operation["description"] = found[2]


def _conventions(method: str, *, has_get: bool) -> Iterator[str]:
    if method == "get":
        yield "If-None-Match"
    elif method == "post":
        yield "Idempotency-Key"
    elif has_get:
        yield "If-Match"


def _errors_of(method: str, operation: Mapping[str, Any], *, has_get: bool) -> Iterator[int]:
    """What an operation with a key can answer, beside what it says itself."""
    yield from (401, 403, 422, 429, 500, 503)
    if any(each.get("in") == "path" for each in operation["parameters"]):
        yield 404
    if "requestBody" in operation:
        yield from (400, 413, 415)
    if method == "post":
        yield 409  # an Idempotency-Key in use
    elif method != "get" and has_get:
        yield 412


def _has_model_of_its_own(response: Mapping[str, Any]) -> bool:
    schemas = [content.get("schema", {}) for content in response.get("content", {}).values()]
    return any(
        schema and not schema.get("$ref", "").endswith(("ErrorBody", "HTTPValidationError"))
        for schema in schemas
    )


def _as_error(status: int, response: Mapping[str, Any], *, keyed: bool) -> dict[str, Any]:
    """The common one, or one in the operation's own words."""
    own = response["description"]
    if keyed and own in ("", "Validation Error", HTTPStatus(status).phrase):
        return {"$ref": f"#/components/responses/{CODES[status]}"}
    return _error(status, own, keyed=keyed)


def _error(status: int, description: str = "", *, keyed: bool = True) -> dict[str, Any]:
    usual, message = _ERRORS[status]
    error: dict[str, Any] = {
        "code": CODES[status],
        "message": message,
        "request_id": "req_4Zk1vGJ0sXq8YtB3mNw7Ra",
    }
    if status == 422:
        field, _, what = message.partition(": ")
        error["details"] = [{"field": field, "message": what}]
    limit = () if status in _WITHOUT_LIMIT or not keyed else _LIMIT
    return {
        "description": description or usual,
        "headers": _headers("X-Request-Id", *limit, *_ERROR_HEADERS.get(status, ())),
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ErrorBody"},
                "example": {"error": error},
            }
        },
    }


def _as_answer(
    method: str, status: int, response: dict[str, Any], operation_id: str, *, keyed: bool
) -> dict[str, Any]:
    headers = ["X-Request-Id"]
    if keyed:
        headers += _LIMIT
        if method == "get":
            headers.append("ETag")
        elif method == "post":
            headers.append("Idempotency-Replayed")
    if status == 201:
        headers.append("Location")
    if response["description"] in ("", "Successful Response"):
        response["description"] = f"{HTTPStatus(status).phrase}."
    response["headers"] = _headers(*headers)
    example = ANSWERS.get(operation_id, {}).get(status)
    for content in response.get("content", {}).values():
        if example is not None:
            content["example"] = example
    return response


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _named(bodies: Mapping[str, Any]) -> dict[str, Any]:
    return {
        re.sub(r"\W+", "-", title.lower()): {"summary": title, "value": body}
        for title, body in bodies.items()
    }
