"""The HTTP server: who asks, what is ordered to go wrong, what the answer is, and whether all of it is in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from aiohttp import web

from . import batch, errors, routes, writing
from .access import Call, check_scope, open_mailbox
from .contract import Contract
from .delta import Tokens
from .errors import ApiError
from .faults import Fault
from .notices import Notifier
from .operations import Answer
from .requests import Request, segments
from .state import Seen, World
from .subscriptions import Subscriptions
from .throttle import Throttle

_JSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
_VERSION = "/v1.0"
_UNREADABLE = object()


class Server:
    """Everything behind one address. `latency`: seconds that each request takes at least."""

    def __init__(self, world: World, contract: Contract) -> None:
        self.world = world
        self.contract = contract
        self.tokens = Tokens()
        self.notifier = Notifier(world, contract)
        self.subscriptions = Subscriptions(world, self.notifier)
        self.throttle = Throttle(world)
        self.latency = 0.0
        self._routes = routes.table(self.tokens)

    def application(self) -> web.Application:
        application = web.Application(client_max_size=4 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._handle)
        application.cleanup_ctx.append(self._delivering)
        return application

    async def _delivering(self, _: web.Application) -> AsyncIterator[None]:
        await self.notifier.open()
        yield
        await self.notifier.close()

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        method, path = http.method, http.rel_url.raw_path
        body = _parsed(await http.read())
        fault: Fault | None = None
        try:
            grant = self.world.grant(_bearer(http.headers.get("Authorization")))
            if not path.startswith(_VERSION + "/"):
                raise errors.bad_request("BadRequest", "Invalid version.")
            path = path.removeprefix(_VERSION)
            base = str(http.url.origin()) + _VERSION
            request = Request(method, segments(path), dict(http.query), http.headers, body, base, grant)
            if path == "/$batch":
                fault = self._fault(request)
                answer = await self._batch(request, fault)
            else:
                fault = self._fault(request)
                answer = await self._single(request, fault)
        except ApiError as error:
            answer = self._refusal(error)
        await asyncio.sleep(fault.delay if fault else 0)
        return await self._send(http, answer, fault.torn if fault else None)

    async def _single(self, request: Request, fault: Fault | None) -> Answer:
        email = self._email(request)
        with self.throttle.at_work(email, 1) as places:
            await asyncio.sleep(self.latency)
            return await self._answer(request, fault, crowded=not places)

    async def _batch(self, request: Request, fault: Fault | None) -> Answer:
        """The parts count against the limits one by one; up to four of them are at work at a time."""
        if fault is not None and not fault.after and (error := fault.error()):
            raise error
        parts = batch.check(request.body)
        email, wide = self._email(request), min(len(parts), self.world.habits.in_flight)
        with self.throttle.at_work(email, wide) as places:
            await asyncio.sleep(self.latency)

            async def do(part: dict[str, Any], number: int) -> dict[str, Any]:
                inner = _part(request, part)
                answer = await self._answer(
                    inner, self._fault(inner), crowded=places < wide and number >= places
                )
                headers = {"Content-Type": "application/json", **answer.headers}
                found: dict[str, Any] = {"id": part["id"], "status": answer.status, "headers": headers}
                return found if answer.body is None else found | {"body": answer.body}

            answers = await batch.run(parts, do)
        self._note(request, 200)
        if fault is not None and (error := fault.error()):
            raise error
        return Answer(200, answers)

    async def _answer(self, request: Request, fault: Fault | None, *, crowded: bool) -> Answer:
        """One request from its limits to its answer; never raises ApiError."""
        try:
            self.throttle.count(self._email(request))
            if crowded:
                raise errors.throttled("MailboxConcurrency", 1)
            error = fault.error() if fault is not None else None
            if error is not None and fault is not None and not fault.after:
                raise error
            answer = await self._run(request)
            if error is not None:
                raise error
        except ApiError as error:
            answer = self._refusal(error)
        self._note(request, answer.status)
        return answer

    async def _run(self, request: Request) -> Answer:
        """Raises ApiError."""
        if request.path[:1] == ["subscriptions"]:
            check_scope(request, "Calendars.Read")
            self._check_request("subscription", request)
            answer = await self.subscriptions.handle(request)
            self._check_answer("subscription" if "value" not in (answer.body or {}) else "value", answer)
            return answer
        with self.world.lock:
            mailbox, rest = open_mailbox(self.world, request)
            route, args = routes.find(self._routes, request.method, rest)
            self._check_options(route, request)
            check_scope(request, route.scope)
            if rest and not mailbox.licensed:
                raise errors.no_mailbox()
            if route.body is not None:
                self._check_request(route.body, request)
            answer = route.run(Call(self.world, request, mailbox, args))
        if route.answer is not None:
            self._check_answer(route.answer, answer)
        if request.preferences:
            answer.headers["Preference-Applied"] = ", ".join(
                f'{key}="{x}"' for key, x in request.preferences.items()
            )
        return answer

    def _check_options(self, route: routes.Route, request: Request) -> None:
        """Raises 400 for a system option that the method does not have."""
        for name in request.query:
            if name.casefold() not in route.options:
                self.world.violations.append(
                    f"{request.method} {'/'.join(route.path)}: no query option {name}"
                )

    def _check_request(self, type_name: str, request: Request) -> None:
        """Raises 400 where a body has a property that the type has not, as Graph does."""
        if request.body is None:
            return
        found = self.contract.request(type_name, request.body)
        if isinstance(request.body, dict) and type_name == "event":
            found += [f"event: {name} is written by Graph alone" for name in writing.read_only(request.body)]
            if request.method == "PATCH" and "transactionId" in request.body:
                found.append("event: transactionId can't be changed")
        self.world.violations += [f"request {one}" for one in found]
        unknown = [one for one in found if "Additional properties" in one]
        if unknown:
            raise errors.bad_request("RequestBodyRead", "A property does not exist on the type of the body.")

    def _check_answer(self, type_name: str, answer: Answer) -> None:
        if answer.body is not None:
            found = self.contract.answer(type_name, answer.body)
            self.world.violations += [f"answer {one}" for one in found]

    def _refusal(self, error: ApiError) -> Answer:
        body = error.body(str(uuid4()), f"{self.world.now():%Y-%m-%dT%H:%M:%S}")
        answer = Answer(error.status, body, dict(error.headers))
        self._check_answer("error", answer)
        return answer

    def _fault(self, request: Request) -> Fault | None:
        return self.world.faults.meet(request.method, "/" + "/".join(request.path), self._email(request))

    def _email(self, request: Request) -> str:
        """Whose limits a request counts against."""
        if request.path[:1] == ["users"] and len(request.path) > 1:
            try:
                return self.world.mailbox(request.path[1]).email
            except ApiError:
                return request.path[1]
        return request.grant.mailbox.email if request.grant.mailbox else ""

    def _note(self, request: Request, status: int) -> None:
        path = "/" + "/".join(request.path)
        seen = Seen(request.method, path, dict(request.query), self._email(request), status, request.part)
        self.world.seen.append(seen)

    async def _send(self, http: web.Request, answer: Answer, torn: int | None) -> web.StreamResponse:
        content = b"" if answer.body is None else json.dumps(answer.body).encode()
        headers = {"request-id": str(uuid4()), **answer.headers}
        if answer.body is not None:
            headers["Content-Type"] = _JSON
        if torn is None:
            return web.Response(status=answer.status, body=content or None, headers=headers)
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.content_length = len(content)
        await response.prepare(http)
        await response.write(content[:torn])
        assert http.transport is not None
        http.transport.close()
        return response


def _bearer(header: str | None) -> str:
    """Raises 401."""
    kind, _, token = (header or "").partition(" ")
    if kind.casefold() != "bearer" or not token.strip():
        raise errors.invalid_token("Access token is empty.")
    return token.strip()


def _parsed(content: bytes) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return _UNREADABLE


def _part(outer: Request, part: Mapping[str, Any]) -> Request:
    """A part has headers of its own: a Prefer of the outer request is not its."""
    address = urlsplit(part["url"])
    query = dict(parse_qsl(address.query, keep_blank_values=True))
    headers = part.get("headers") or {}
    return Request(
        part["method"],
        segments(address.path),
        query,
        headers,
        part.get("body"),
        outer.base,
        outer.grant,
        part=True,
    )
