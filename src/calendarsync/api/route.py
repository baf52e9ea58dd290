"""What happens to every request before its route sees it: key, count, scope, parameters, body, in this order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Annotated, Any, get_origin

from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from calendarsync.accounts.keys import Identity
from calendarsync.accounts.scopes import Scope
from calendarsync.api import strict_json
from calendarsync.api.admission import admit
from calendarsync.api.conditional import tag
from calendarsync.api.errors import ApiError, invalid
from calendarsync.api.idempotency import answer_once, key_of

MAX_BODY_BYTES = 1_000_000
BODY_SECONDS = 30.0
SECURITY_SCHEME = "apiKey"

_SHOWN_ONCE = "x-shown-once"


def needs(scope: Scope, *, secret: bool = False) -> dict[str, Any]:
    """For `openapi_extra` of a route: the scope that a key must have. What is documented is what is checked.

    `secret`: the answer of a POST shows what is shown once, and so is not kept for as long as others.
    """
    return {"security": [{SECURITY_SCHEME: [scope.value]}], **({_SHOWN_ONCE: True} if secret else {})}


class StrictRequest(Request):
    """A request whose body is limited in size and time, and strictly JSON."""

    async def body(self) -> bytes:
        """Raises ApiError 400, 413."""
        if not hasattr(self, "_read"):
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    self._read = await self._read_all()
            except TimeoutError:
                # What is left of the body may still come, and is no next request.
                headers = {"Connection": "close"}
                raise ApiError(400, "the body did not arrive in time", headers=headers) from None
        return self._read

    async def _read_all(self) -> bytes:
        parts, size = [], 0
        async for chunk in self.stream():
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise ApiError(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
            parts.append(chunk)
        return b"".join(parts)

    async def json(self) -> Any:
        """Raises ApiError 400."""
        if not hasattr(self, "_parsed"):
            try:
                self._parsed = strict_json.parse(await self.body())
            except strict_json.NotJsonError as error:
                raise ApiError(400, str(error)) from None
        return self._parsed


class ApiRoute(APIRoute):
    """A route that only a key with its scope may use."""

    @property
    def scope(self) -> str:
        """Raises KeyError where the route was declared without `needs()`."""
        scope: str = (self.openapi_extra or {})["security"][0][SECURITY_SCHEME][0]
        return scope

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        scope, has_body = self.scope, self.body_field is not None
        shown_once = _SHOWN_ONCE in (self.openapi_extra or {})
        needs_body = self.body_field is not None and self.body_field.field_info.is_required()
        known = {field.alias: _is_list(field) for field in _query_parameters(self.dependant)}

        async def answer(request: StrictRequest) -> Response:
            _check_parameters(request, known)
            if has_body:
                await _check_body(request, required=needs_body)
            return await handle(request)

        async def handle_strictly(request: Request) -> Response:
            caller = await admit(request)
            check_scope(caller, scope)
            strict = StrictRequest(request.scope, request.receive)
            if request.method == "GET":
                return tag(request, await answer(strict))
            key = key_of(request) if request.method == "POST" else None
            if key is None:
                return await answer(strict)
            return await answer_once(strict, caller, key, lambda: answer(strict), secret=shown_once)

        return handle_strictly


# A dependency that is no coroutine would cost a trip to a thread.
async def caller_of(request: Request) -> Identity:
    identity: Identity = request.state.identity
    return identity


Caller = Annotated[Identity, Depends(caller_of)]


def check_scope(identity: Identity, scope: str) -> None:
    """Raises ApiError 403."""
    if scope not in identity.scopes:
        challenge = f'Bearer realm="CalendarSync", error="insufficient_scope", scope="{scope}"'
        message = f"the API key does not have the scope {scope}"
        raise ApiError(403, message, headers={"WWW-Authenticate": challenge})


def _query_parameters(dependant: Dependant) -> Iterator[Any]:
    yield from dependant.query_params
    for inner in dependant.dependencies:
        yield from _query_parameters(inner)


def _is_list(parameter: Any) -> bool:
    return get_origin(parameter.field_info.annotation) is list


def _check_parameters(request: Request, known: Mapping[str, bool]) -> None:
    """A mistyped parameter must not pass in silence: `?keep_copy=true` would remove the copies.

    `known`: each parameter's name, and whether it may be given more than once.
    """
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        raise invalid(*((name[:100], "unknown parameter") for name in unknown))
    once = [name for name, is_list in known.items() if not is_list]
    twice = [name for name in once if len(request.query_params.getlist(name)) > 1]
    if twice:
        raise invalid(*((name, "given more than once") for name in twice))


async def _check_body(request: StrictRequest, *, required: bool) -> None:
    kind = request.headers.get("content-type")
    if kind is not None and not _is_json(kind):
        raise ApiError(415, "send the body as Content-Type: application/json, in UTF-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "send the body without a Content-Encoding")
    if not await request.body():
        if required:
            raise ApiError(400, "the request needs a JSON body")
        return
    if kind is None:
        raise ApiError(415, "send the body as Content-Type: application/json, in UTF-8")
    await request.json()


def _is_json(content_type: str) -> bool:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    return media_type == "application/json" and all(
        not parameter.startswith("charset=") or parameter[len("charset=") :].strip('"') in ("utf-8", "utf8")
        for parameter in parameters
    )
