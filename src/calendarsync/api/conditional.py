"""Conditional requests (RFC 9110 section 13): ETags, If-None-Match, If-Match.

Every GET under /api/v1 has an ETag, a hash of its body, and needs to do nothing for it. A PATCH or DELETE of what
has a GET takes `if_match: IfMatch`, and hands it to the function that does the work. That asks it inside its
transaction, with the row locked, and as a GET would show it now:

    async with services.db.write_as(caller.tenant) as connection:
        row = await store.lock_thing(connection, caller.tenant, thing_id)
        if_match.check(thing_out(row))
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import BaseModel

from calendarsync.api.errors import ApiError

_ENTITY_TAG = re.compile(r'(W/)?("[^"]*")')
_TAG_BYTES = 16


def etag_of(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=_TAG_BYTES).hexdigest()}"'


def tag(request: Request, response: Response) -> Response:
    """The answer to a GET with its ETag; 304 without the body where If-None-Match names it."""
    etag = etag_of(bytes(response.body))
    response.headers["ETag"] = etag
    given = request.headers.getlist("if-none-match")
    if given and (_is_any(given) or etag in (each for _, each in _tags(given))):
        return Response(status_code=304, headers={"ETag": etag})
    return response


@dataclass(frozen=True, slots=True)
class Precondition:
    """What a request says that the resource still is; an empty one says nothing."""

    given: Sequence[str] = ()

    def check(self, shown: BaseModel) -> None:
        """`shown` is the resource as a GET shows it now. Raises ApiError 412."""
        if not self.given or _is_any(self.given):
            return
        # Two weak tags never say the same (section 8.8.3.2).
        strong = [each for weak, each in _tags(self.given) if not weak]
        if etag_of(shown.model_dump_json(by_alias=True).encode()) not in strong:
            raise ApiError(412, "it has changed since you read it; read it again")


NO_PRECONDITION = Precondition()


# A dependency that is no coroutine would cost a trip to a thread.
async def _if_match(request: Request) -> Precondition:
    return Precondition(request.headers.getlist("if-match"))


IfMatch = Annotated[Precondition, Depends(_if_match)]


def _is_any(given: Sequence[str]) -> bool:
    return [each.strip() for each in given] == ["*"]


def _tags(given: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of `W/`, or nothing, and the tag with its quotation marks."""
    return [(match[1] or "", match[2]) for each in given for match in _ENTITY_TAG.finditer(each)]
