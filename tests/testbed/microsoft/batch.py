"""JSON batches: up to 20 requests in one, each answered on its own.

Source: https://learn.microsoft.com/graph/json-batching
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .errors import ApiError, bad_request

_LONGEST = 20
_METHODS = {"GET", "POST", "PATCH", "PUT", "DELETE"}

Run = Callable[[dict[str, Any], int], Awaitable[dict[str, Any]]]


def check(body: Any) -> list[dict[str, Any]]:
    """The parts of a batch. Raises 400 where the batch as a whole is malformed."""
    parts = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(parts, list) or not parts:
        raise _malformed("The batch has no requests.")
    if len(parts) > _LONGEST:
        raise _malformed(f"Number of batch request steps exceeds the maximum value of {_LONGEST}.")
    ids: set[str] = set()
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("headers") or {}, dict):
            raise _malformed("A request of the batch is none.")
        named = part.get("id")
        if not isinstance(named, str) or named.casefold() in ids:
            raise _malformed("Every request of a batch needs an id of its own.")
        ids.add(named.casefold())
        if part.get("method") not in _METHODS or not isinstance(part.get("url"), str):
            raise _malformed("Every request of a batch needs a method and a url.")
        if any(str(other).casefold() not in ids for other in part.get("dependsOn") or ()):
            raise _malformed("A request depends on one that does not come before it.")
        types = {name.casefold() for name in part.get("headers") or {}}
        if "body" in part and "content-type" not in types:
            raise _malformed("A request with a body needs a Content-Type header.")
    return parts


async def run(parts: list[dict[str, Any]], do: Run) -> dict[str, Any]:
    """`do` gets a part and how many came before it. A part whose precondition failed is answered 424."""
    statuses: dict[str, int] = {}
    answers = []
    for number, part in enumerate(parts):
        needed = [statuses[str(other).casefold()] for other in part.get("dependsOn") or ()]
        if any(status >= 400 for status in needed):
            error = {"code": "FailedDependency", "message": "A request that this one depends on failed."}
            answer: dict[str, Any] = {"status": 424, "headers": {}, "body": {"error": error}}
        else:
            answer = await do(part, number)
        statuses[part["id"].casefold()] = answer["status"]
        answers.append({"id": part["id"]} | answer)
    return {"responses": answers[::-1]}


def _malformed(message: str) -> ApiError:
    return bad_request("BadRequest", message)
