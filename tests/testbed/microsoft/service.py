"""One request from its limits to its answer, with the check of both against Graph's types."""

from __future__ import annotations

from uuid import uuid4

from . import errors, routes, writing
from .access import Call, check_scope, open_mailbox
from .contract import Contract
from .delta import Tokens
from .errors import ApiError
from .faults import Fault
from .notices import Notifier
from .operations import Answer
from .requests import Request
from .state import Seen, World
from .subscriptions import Subscriptions
from .throttle import Throttle


class Service:
    """Answers requests whose sender is known, be they alone or parts of a batch."""

    def __init__(self, world: World, contract: Contract) -> None:
        self.world = world
        self.contract = contract
        self.tokens = Tokens()
        self.notifier = Notifier(world, contract)
        self.subscriptions = Subscriptions(world, self.notifier)
        self.throttle = Throttle(world)
        self._routes = routes.table(self.tokens)

    async def answer(self, request: Request, fault: Fault | None, *, crowded: bool) -> Answer:
        """Never raises ApiError. `crowded`: more requests are at work on the mailbox than may be."""
        error = fault.error() if fault is not None else None
        try:
            self.throttle.count(self.email(request))
            if crowded:
                raise errors.throttled("MailboxConcurrency", 1)
            if error is not None and fault is not None and not fault.after:
                raise error
            answer = await self._run(request)
            if error is not None:
                raise error
        except ApiError as refused:
            answer = self.refusal(refused)
        except Exception as failure:  # noqa: BLE001 whoever sent it must not be left without an answer
            self.world.violations.append(f"the model failed at {request.method}: {failure!r}")
            answer = self.refusal(ApiError(500, "InternalServerError", "The model failed."))
        self.note(request, answer.status)
        return answer

    async def _run(self, request: Request) -> Answer:
        """Raises ApiError."""
        if request.path[:1] == ["subscriptions"]:
            check_scope(request, "Calendars.Read")
            self._check_request("subscription", request)
            answer = await self.subscriptions.handle(request)
            self._check_answer("value" if "value" in (answer.body or {}) else "subscription", answer)
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
            applied = (f'{name}="{value}"' for name, value in request.preferences.items())
            answer.headers["Preference-Applied"] = ", ".join(applied)
        return answer

    def fault(self, request: Request) -> Fault | None:
        return self.world.faults.meet(request.method, "/" + "/".join(request.path), self.email(request))

    def email(self, request: Request) -> str:
        """Whose limits a request counts against."""
        if request.path[:1] == ["users"] and len(request.path) > 1:
            try:
                return self.world.mailbox(request.path[1]).email
            except ApiError:
                return request.path[1]
        return request.grant.mailbox.email if request.grant.mailbox else ""

    def note(self, request: Request, status: int) -> None:
        path = "/" + "/".join(request.path)
        seen = Seen(request.method, path, dict(request.query), self.email(request), status, request.part)
        self.world.seen.append(seen)

    def refusal(self, error: ApiError) -> Answer:
        body = error.body(str(uuid4()), f"{self.world.now():%Y-%m-%dT%H:%M:%S}")
        answer = Answer(error.status, body, dict(error.headers))
        self._check_answer("error", answer)
        return answer

    def _check_options(self, route: routes.Route, request: Request) -> None:
        for name in request.query:
            if name.casefold() not in route.options:
                self.world.violations.append(
                    f"{request.method} {'/'.join(route.path)}: no query option {name}"
                )

    def _check_request(self, type_name: str, request: Request) -> None:
        """Raises 400 where a body is not of the type, as Graph does."""
        if request.body is None:
            return
        found = self.contract.request(type_name, request.body)
        malformed = bool(found)
        if isinstance(request.body, dict) and type_name == "event":
            found += [f"event: {name} is written by Graph alone" for name in writing.read_only(request.body)]
            if request.method == "PATCH" and "transactionId" in request.body:
                found.append("event: transactionId can't be changed")
        self.world.violations += [f"request {one}" for one in found]
        if malformed:
            raise errors.bad_request("RequestBodyRead", f"The body is no {type_name}.")

    def _check_answer(self, type_name: str, answer: Answer) -> None:
        if answer.body is not None:
            found = self.contract.answer(type_name, answer.body)
            self.world.violations += [f"answer {one}" for one in found]
