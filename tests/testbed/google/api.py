"""Every call goes through here: who calls, whether they may, what fault they meet, and what Google describes."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from . import calendars, errors, listing, writes
from .calls import Answer, Call
from .channels import Channels
from .contract import Contract, Method
from .errors import ApiError
from .faults import Fault
from .partial import select
from .state import Seen, User, World


@dataclass
class Request:
    """An HTTP request, or a part of a batch. `target` is its undecoded path and query; headers in lower case."""

    http: str
    target: str
    headers: dict[str, str]
    content: bytes
    part: bool = False


@dataclass
class Reply:
    """An answer, and what the fault that it met wants of the connection."""

    answer: Answer
    fault: Fault | None = None


@dataclass
class Api:
    """The methods of Google Calendar v3 that the model knows."""

    world: World
    contract: Contract
    channels: Channels
    pages: listing.Pages = field(default_factory=listing.Pages)

    def __post_init__(self) -> None:
        pages = self.pages
        self._methods: dict[str, Callable[[Call], Answer]] = {
            "calendar.events.list": lambda call: listing.list_(call, pages),
            "calendar.events.instances": lambda call: listing.list_instances(call, pages),
            "calendar.events.get": listing.get,
            "calendar.events.insert": writes.insert,
            "calendar.events.import": writes.import_,
            "calendar.events.patch": writes.patch,
            "calendar.events.update": writes.update,
            "calendar.events.delete": writes.delete,
            "calendar.events.move": writes.move,
            "calendar.events.quickAdd": writes.quick_add,
            "calendar.events.watch": self.channels.watch,
            "calendar.channels.stop": self.channels.stop,
            "calendar.calendarList.list": calendars.list_,
            "calendar.calendarList.get": calendars.list_entry,
            "calendar.calendarList.insert": calendars.list_insert,
            "calendar.calendarList.delete": calendars.unlist,
            "calendar.calendars.get": calendars.get,
            "calendar.calendars.insert": calendars.insert,
            "calendar.calendars.patch": calendars.patch,
            "calendar.calendars.update": calendars.patch,
            "calendar.calendars.delete": calendars.delete,
            "calendar.freebusy.query": calendars.free_busy,
        }

    def answer(self, request: Request) -> Reply:
        """The answer to a request of its own or to a part of a batch."""
        with self.world.lock:
            url = urlsplit(request.target)
            found = self.contract.find(request.http, url.path)
            if found is None:
                self.world.violations.append(f"no such method: {request.http} {url.path}")
                return Reply(_refused(errors.not_found()))
            method, arguments = found
            query = parse_qs(url.query, keep_blank_values=True)
            reply, user = self._judged(method, arguments, query, request)
            self._record(method, request, query, user, reply.answer)
            return reply

    def _judged(
        self, method: Method, arguments: dict[str, str], query: dict[str, list[str]], request: Request
    ) -> tuple[Reply, User | None]:
        """The reply, and who asked. What Google does not describe may be more than the model can bear: 400."""
        user: User | None = None
        fault: Fault | None = None
        known = len(self.world.violations)
        try:
            body = self._read(method, query, request)
            user = self.world.user(_token(request))
            _check_scope(user, method)
            self.world.spend(user)
            fault = self.world.faults.meet(method.id, user.email, arguments.get("calendarId"))
            call = Call(self.world, user, arguments, query, body, request.headers)
            answer = self._done(method, call, fault)
            if answer.body is not None and call.text("fields"):
                answer = replace(answer, body=select(answer.body, call.text("fields") or ""))
        except ApiError as error:
            answer = _refused(error)
        except (TypeError, AttributeError, LookupError, ValueError):
            if len(self.world.violations) == known:
                self.world.violations.append(f"{method.id}: the model failed: {traceback.format_exc()}")
            answer = _refused(ApiError(400, "badRequest", "Bad Request"))
        return Reply(answer, fault), user

    def _read(self, method: Method, query: dict[str, list[str]], request: Request) -> Any:
        body = None
        if request.content:
            try:
                body = json.loads(request.content)
            except ValueError:
                self.world.violations.append(f"{method.id}: the body is no JSON")
                raise ApiError(400, "parseError", "Parse Error") from None
        self.world.violations += self.contract.of_request(method, query, body)
        return body

    def _done(self, method: Method, call: Call, fault: Fault | None) -> Answer:
        error = fault.error() if fault else None
        if error is not None and fault is not None and not fault.after:
            raise error
        known = self._methods.get(method.id)
        if known is None:
            raise ApiError(501, "notImplemented", f"The model does not know {method.id}.")
        answer = known(call)
        if error is not None:
            raise error
        return answer

    def _record(
        self,
        method: Method,
        request: Request,
        query: dict[str, list[str]],
        user: User | None,
        answer: Answer,
    ) -> None:
        faults = self.contract.of_answer(method, answer.status, answer.body, partial="fields" in query)
        self.world.violations += faults
        path = urlsplit(request.target).path
        email = user.email if user else None
        self.world.seen.append(Seen(method.id, path, query, email, answer.status, request.part))


def _token(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise errors.invalid_credentials()
    return token


def _check_scope(user: User, method: Method) -> None:
    if not user.scopes & method.scopes:
        raise errors.insufficient_scope()


def _refused(error: ApiError) -> Answer:
    return Answer(error.status, error.body(), error.headers)
