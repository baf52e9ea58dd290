"""The client against the OpenAPI document: every operation has its method, every model the fields that are told."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_args

import pytest

from calendarsync.client import NotFound, models
from calendarsync.client.models import Model
from calendarsync.client.webhooks import Event
from tests.client.flavours import Perform
from tests.client.scripted import Asked, Scripted, error

SCHEMAS: dict[str, type[Model]] = {
    "AccountOut": models.Account,
    "AuthorizationOut": models.Authorization,
    "Availability": models.Availability,
    "AttemptOut": models.Attempt,
    "AttendeeOut": models.Attendee,
    "BusyInterval": models.BusyInterval,
    "CalendarFound": models.CalendarFound,
    "CalendarRead": models.CalendarRead,
    "CalendarsFound": models.CalendarsFound,
    "ClockOut": models.Clock,
    "ConnectionFreshness": models.ConnectionFreshness,
    "ConnectionOut": models.Connection,
    "Counts": models.Counts,
    "DelegationOut": models.Delegation,
    "DeliveryOut": models.Delivery,
    "ExplanationOut": models.Explanation,
    "FaultList": models.Faults,
    "FaultOut": models.Fault,
    "InstanceOut": models.SandboxInstance,
    "ItemError": models.BulkError,
    "ItemResult": models.BulkResult,
    "ItemResults": models.BulkResults,
    "KeyOut": models.ApiKey,
    "KeyWithSecret": models.ApiKeyWithSecret,
    "Latency": models.Latency,
    "Limits": models.Limits,
    "LogOut": models.Log,
    "LogWithOperations": models.LogWithOperations,
    "MemberOut": models.Member,
    "Notice": models.Notice,
    "OperationOut": models.Operation,
    "AffectedCopy": models.AffectedCopy,
    "Attention": models.Attention,
    "AttentionDetails": models.AttentionDetails,
    "UndoResult": models.UndoResult,
    "OnlyBetweenOut": models.OnlyBetween,
    "OptionsOut": models.Options,
    "PairExplained": models.PairExplained,
    "PairOut": models.SyncPair,
    "PairProblem": models.PairProblem,
    "PairWithLatency": models.SyncPairWithLatency,
    "PastOperation": models.PastOperation,
    "Problem": models.Problem,
    "SandboxCalendarOut": models.SandboxCalendar,
    "SandboxEventOut": models.SandboxEvent,
    "Span": models.Span,
    "SwitchResults": models.SwitchResults,
    "Switched": models.Switched,
    "SyncResult": models.SyncResult,
    "SyncStarted": models.SyncStarted,
    "Usage": models.Usage,
    "WebhookOut": models.Webhook,
    "WebhookWithSecret": models.WebhookWithSecret,
}
BODIES: dict[str, Any] = {
    "Options": models.PairOptions,
    "OnlyBetween": models.HoursOfWeek,
    "NewPair": models.NewPair,
    "InstanceChanges": models.InstanceFields,
    "SandboxEventChanges": models.EventFields,
    "AttendeeIn": models.NewAttendee,
}


@cache
def document() -> dict[str, Any]:
    from calendarsync.api.app import openapi_document

    return openapi_document()


def described(name: str) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = document()["components"]["schemas"][name]
    return schema


def takes_null(schema: Mapping[str, Any]) -> bool:
    return any(each.get("type") == "null" for each in schema.get("anyOf", ()))


def optional(annotation: object) -> bool:
    return type(None) in get_args(annotation)


@pytest.mark.parametrize("name", SCHEMAS)
def test_models_have_the_fields_that_are_told(name: str) -> None:
    schema, model = described(name), SCHEMAS[name]
    fields = {field.alias or own: field for own, field in model.model_fields.items()}
    assert fields.keys() == schema["properties"].keys()
    for field, told in schema["properties"].items():
        required = field in schema.get("required", ())
        assert fields[field].is_required() is required, field
        assert optional(fields[field].annotation) is takes_null(told) or not required, field


@pytest.mark.parametrize("name", BODIES)
def test_what_may_be_given_is_what_is_taken(name: str) -> None:
    assert set(BODIES[name].__annotations__) == set(described(name)["properties"])
    assert BODIES[name].__required_keys__ == set(described(name).get("required", ()))


def test_every_model_is_compared() -> None:
    own = {each for each in vars(models).values() if isinstance(each, type) and issubclass(each, Model)}
    assert own - set(SCHEMAS.values()) == {Model}


def test_events_are_what_is_sent() -> None:
    sent = {name: hook["post"] for name, hook in document()["webhooks"].items()}
    assert {"sync.completed", "sync.failed", "connection.expired"} <= sent.keys()
    for hook in sent.values():
        schema = hook["requestBody"]["content"]["application/json"]["schema"]
        described_event = described(schema["$ref"].rpartition("/")[2]) if "$ref" in schema else schema
        assert set(described_event["properties"]) == set(Event.model_fields)


def operations() -> set[tuple[str, str]]:
    """Those that need a key: health, metrics and the document itself are for other programs."""
    return {
        (method.upper(), path)
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
        if operation.get("security")
    }


def argument(parameter: inspect.Parameter) -> object:
    annotation = str(parameter.annotation)
    if "datetime" in annotation:
        return datetime(2026, 3, 28, tzinfo=UTC)
    if "Sequence" in annotation:
        return []
    return 1 if "int" in annotation else "id"


def methods(client: Any) -> dict[str, Callable[[], Any]]:
    """Every method of every group, called with the arguments that it must have."""
    found: dict[str, Callable[[], Any]] = {}
    for group_name, group in vars(client).items():
        for name in dir(group):
            method = getattr(group, name)
            if group_name.startswith("_") or name.startswith("_") or not inspect.ismethod(method):
                continue
            needed = {
                each.name: argument(each)
                for each in inspect.signature(method).parameters.values()
                if each.default is each.empty and each.kind is not each.VAR_KEYWORD
            }
            found[f"{group_name}.{name}"] = lambda method=method, needed=needed: method(**needed)
    return found


async def call_async(client: Any) -> None:
    for call in methods(client).values():
        given = call()
        with pytest.raises(NotFound):
            await (given if inspect.isawaitable(given) else given.all())


def call_all(client: Any) -> Any:
    if type(client).__name__.startswith("Async"):
        return call_async(client)
    for call in methods(client).values():
        with pytest.raises(NotFound):
            getattr(call(), "all", list)()
    return None


def matches(asked: Asked, template: str) -> bool:
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
    return re.fullmatch(pattern, asked.path.partition("?")[0]) is not None


def operation_of(asked: Asked) -> tuple[str, str]:
    """The one with the fewest parameters, as a router of fixed paths before others would find it."""
    found = [each for each in operations() if each[0] == asked.method and matches(asked, each[1])]
    assert found, (asked.method, asked.path)
    return min(found, key=lambda each: each[1].count("{"))


def test_every_operation_has_its_method(perform: Perform, script: Scripted) -> None:
    script.will(*(error(404, "not_found") for _ in range(100)))
    perform(call_all)
    assert {operation_of(each) for each in script.asked} == operations()
