"""Google's own description of its API, held against each request and each answer.

The discovery document lies inside PyPI `google-api-python-client`. What it says in words alone is written down
here: the values of `Event.status` and the like, that `id` and `iCalUID` exclude each other, and which fields every
answer has. A request may leave the offset out of a `dateTime` that has a `timeZone` beside it; a patch may carry
nulls.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from importlib import resources
from typing import Any, Literal
from urllib.parse import unquote

from jsonschema import Draft202012Validator, FormatChecker

from .values import RESPONSES, VALUES

Side = Literal["request", "patch", "answer"]
_OFFSET = re.compile(r".+(Z|[+-]\d\d:\d\d)", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.IGNORECASE)
_VALUES = {("Event", name): allowed for name, allowed in VALUES.items()} | {
    ("EventAttendee", "responseStatus"): RESPONSES,
    ("EventReminder", "method"): ("email", "popup"),
}
_ALWAYS = {
    "Event": ("kind", "etag", "id", "status"),
    "Events": ("kind", "etag", "summary", "updated", "timeZone", "accessRole", "defaultReminders", "items"),
    "CalendarListEntry": ("kind", "etag", "id"),
    "CalendarList": ("kind", "etag", "items"),
    "Calendar": ("kind", "etag", "id", "summary", "timeZone"),
    "Channel": ("kind", "id", "resourceId", "resourceUri", "expiration"),
}
_LIVING = (
    "htmlLink", "created", "updated", "creator", "organizer", "start", "end", "iCalUID", "sequence", "eventType",
)  # fmt: skip


@dataclass(frozen=True)
class Method:
    """One of the API's methods; `template` is its path's segments, `{name}` for parameters."""

    id: str
    http: str
    template: tuple[str, ...]
    parameters: dict[str, Any]
    takes: str | None
    gives: str | None
    scopes: frozenset[str]

    def unknowns(self) -> int:
        """How many segments of the path are parameters: the fewer, the better a match."""
        return sum(each.startswith("{") for each in self.template)

    def arguments(self, http: str, segments: list[str]) -> dict[str, str] | None:
        """The path's parameters, where this is the method that a request calls."""
        if http != self.http or len(segments) != len(self.template):
            return None
        found = {}
        for pattern, given in zip(self.template, segments, strict=True):
            if pattern.startswith("{"):
                found[pattern.strip("{}")] = unquote(given)
            elif pattern != given:
                return None
        return found


def _formats() -> FormatChecker:
    checker = FormatChecker(formats=())

    @checker.checks("date-time", raises=ValueError)
    def moment(value: object) -> bool:
        return not isinstance(value, str) or (_is_moment(value) and _OFFSET.fullmatch(value) is not None)

    @checker.checks("moment", raises=ValueError)
    def local(value: object) -> bool:
        return not isinstance(value, str) or _is_moment(value)

    @checker.checks("date", raises=ValueError)
    def day(value: object) -> bool:
        return not isinstance(value, str) or len(date.fromisoformat(value).isoformat()) == len(value)

    @checker.checks("int64")
    def number(value: object) -> bool:
        return not isinstance(value, str) or re.fullmatch(r"-?\d{1,19}", value) is not None

    return checker


def _is_moment(value: str) -> bool:
    return _MOMENT.fullmatch(value) is not None and datetime.fromisoformat(value.upper()) is not None


class Contract:
    """The methods and schemas of Calendar v3."""

    def __init__(self) -> None:
        folder = resources.files("googleapiclient") / "discovery_cache" / "documents"
        document = json.loads((folder / "calendar.v3.json").read_text())
        self._schemas: dict[str, Any] = document["schemas"]
        self._common: dict[str, Any] = document["parameters"]
        self._service = document["servicePath"].strip("/").split("/")
        self._methods = sorted(
            self._read(document["resources"]), key=lambda each: "".join(each.template).count("{")
        )
        formats = _formats()
        self._validators: dict[tuple[Side, str], Draft202012Validator] = {}
        for side in ("request", "patch", "answer"):
            definitions = {name: self._schema(name, each, side) for name, each in self._schemas.items()}
            for name in self._schemas:
                schema = {"$ref": f"#/$defs/{name}", "$defs": definitions}
                self._validators[side, name] = Draft202012Validator(schema, format_checker=formats)
        self._event_faults = lru_cache(maxsize=4096)(self._event_faults_of)

    def _read(self, found: dict[str, Any]) -> list[Method]:
        methods = []
        for resource in found.values():
            methods += [self._method(each) for each in resource.get("methods", {}).values()]
            methods += self._read(resource.get("resources", {}))
        return methods

    def _method(self, described: dict[str, Any]) -> Method:
        return Method(
            described["id"],
            described["httpMethod"],
            (*self._service, *described["path"].split("/")),
            self._common | described.get("parameters", {}),
            described.get("request", {}).get("$ref"),
            described.get("response", {}).get("$ref"),
            frozenset(described.get("scopes", ())),
        )

    def _schema(self, owner: str, described: dict[str, Any], side: Side, name: str = "") -> dict[str, Any]:
        if "$ref" in described:
            return {"$ref": f"#/$defs/{described['$ref']}"}
        made: dict[str, Any] = {}
        kind = described.get("type", "any")
        if kind != "any":
            made["type"] = [kind, "null"] if side == "patch" else kind
        allowed = described.get("enum") or _VALUES.get((owner, name))
        if allowed:
            made["enum"] = [*allowed, None] if side == "patch" else list(allowed)
        if described.get("format") in ("date-time", "date", "int64"):
            made["format"] = described["format"]
        if (owner, name) == ("EventDateTime", "dateTime") and side != "answer":
            made["format"] = "moment"
        if described.get("format") == "int32":
            made |= {"minimum": -(2**31), "maximum": 2**31 - 1}
        if kind == "array":
            made["items"] = self._schema(owner, described["items"], side)
        if kind == "object":
            inside = described.get("properties", {})
            made["properties"] = {each: self._schema(owner, inside[each], side, each) for each in inside}
            more = described.get("additionalProperties")
            made["additionalProperties"] = self._schema(owner, more, side, "*") if more else False
        return made

    def find(self, http: str, path: str) -> tuple[Method, dict[str, str]] | None:
        """The method that a request calls, by its undecoded path, and the parameters in the path."""
        segments = path.strip("/").split("/")
        for method in self._methods:
            arguments = method.arguments(http, segments)
            if arguments is not None:
                return method, arguments
        return None

    def of_request(self, method: Method, query: dict[str, list[str]], body: Any) -> list[str]:
        """What is wrong with a request; `body` is None where none was sent."""
        faults = [fault for name, given in query.items() for fault in _query_faults(method, name, given)]
        path = {each.strip("{}") for each in method.template}
        for name, described in method.parameters.items():
            if described.get("required") and name not in query and name not in path:
                faults.append(f"query lacks {name}")
        if method.takes is None:
            faults += ["takes no body"] if body is not None else []
        else:
            faults += self._body_faults(method, body)
        return [f"{method.id}: {fault}" for fault in faults]

    def _body_faults(self, method: Method, body: Any) -> list[str]:
        assert method.takes is not None
        side: Side = "patch" if method.http == "PATCH" else "request"
        faults = self._faults(side, method.takes, body)
        if not isinstance(body, dict):
            return faults
        for name, described in self._schemas[method.takes]["properties"].items():
            if method.id in described.get("annotations", {}).get("required", ()) and body.get(name) is None:
                faults.append(f"body lacks {name}")
        if method.takes == "Event":
            faults += _event_rules(method, body)
        return faults

    def of_answer(self, method: Method, status: int, body: Any, *, partial: bool) -> list[str]:
        """What is wrong with an answer; `partial`: only some fields were asked for."""
        if status >= 400:
            faults = _error_faults(status, body)
        elif method.gives is None or status == 304:
            faults = [] if body is None else ["has a body"]
        else:
            faults = self._answer_faults(method.gives, body, partial)
        return [f"{method.id}: answer {status}: {fault}" for fault in faults]

    def _answer_faults(self, schema: str, body: Any, partial: bool) -> list[str]:
        if schema == "Events" and isinstance(body, dict):
            items = body.get("items", [])
            faults = self._faults("answer", schema, {**body, "items": []})
            for item in items:
                faults += self._event_faults(json.dumps(item, sort_keys=True), partial)
        elif schema == "Event":
            return self._event_faults(json.dumps(body, sort_keys=True), partial)
        else:
            faults = self._faults("answer", schema, body)
        return faults if partial else faults + _lacking(schema, body)

    def _event_faults_of(self, text: str, partial: bool) -> list[str]:
        event = json.loads(text)
        faults = self._faults("answer", "Event", event)
        return faults if partial else faults + _lacking("Event", event)

    def _faults(self, side: Side, schema: str, value: Any) -> list[str]:
        return [
            f"{schema}{''.join(f'/{step}' for step in error.absolute_path)}: {error.message[:150]}"
            for error in self._validators[side, schema].iter_errors(value)
        ]


def _query_faults(method: Method, name: str, given: list[str]) -> list[str]:
    described = method.parameters.get(name)
    if described is None or described["location"] != "query":
        return [f"unknown query parameter {name}"]
    faults = [f"{name} is repeated"] if len(given) > 1 and not described.get("repeated") else []
    return faults + [
        f"{name}={value} is no {described['type']}" for value in given if not _fits(described, value)
    ]


def _fits(described: dict[str, Any], value: str) -> bool:
    kind = described["type"]
    if kind == "boolean":
        return value in ("true", "false")
    if kind == "integer":
        within = re.fullmatch(r"-?\d+", value) is not None
        least, most = int(described.get("minimum", -(2**31))), int(described.get("maximum", 2**31 - 1))
        return within and least <= int(value) <= most
    if described.get("format") == "date-time":
        return _MOMENT.fullmatch(value) is not None and _OFFSET.fullmatch(value) is not None
    return value in described.get("enum", (value,))


def _event_rules(method: Method, event: dict[str, Any]) -> list[str]:
    """Rules of the Event resource that its description gives in words."""
    faults = []
    if method.id == "calendar.events.insert" and event.get("id") and event.get("iCalUID"):
        faults.append("only one of id and iCalUID should be supplied")
    for name in ("start", "end"):
        time = event.get(name)
        if not isinstance(time, dict) or not isinstance(time.get("dateTime"), str):
            continue
        if time.get("timeZone") is None and (
            event.get("recurrence") or not _OFFSET.fullmatch(time["dateTime"])
        ):
            faults.append(f"{name} lacks timeZone")
    lines = [str(line).upper() for line in event.get("recurrence") or ()]
    if any(line.startswith(("DTSTART", "DTEND")) for line in lines):
        faults.append("recurrence holds DTSTART or DTEND")
    return faults


def _error_faults(status: int, body: Any) -> list[str]:
    error = body.get("error") if isinstance(body, dict) else None
    details = error.get("errors") if isinstance(error, dict) else None
    whole = (
        isinstance(error, dict)
        and error.get("code") == status
        and bool(details)
        and all("reason" in each and "domain" in each for each in details or ())
    )
    return [] if whole else ["is no Google error"]


def _lacking(schema: str, body: Any) -> list[str]:
    names = list(_ALWAYS.get(schema, ()))
    if schema == "Event" and body.get("status") != "cancelled" and body.get("visibility") is None:
        names += _LIVING
    return [f"{schema} lacks {name}" for name in names if not isinstance(body, dict) or name not in body]
