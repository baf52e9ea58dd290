"""The part of the OpenAPI document about what is sent: events, their headers, and the answers that are expected."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from calendarsync.api.examples import AT, EXPIRED, FAILED, LOG, WEBHOOK_SECRET
from calendarsync.webhooks import signing
from calendarsync.webhooks.catalogue import EventType, test_data
from calendarsync.webhooks.formats import EVENT, body_of

# What `data` is, by its schema or that of the same thing in the API.
_LOG = {"$ref": "#/components/schemas/LogOut"}
_CONNECTION = {"$ref": "#/components/schemas/ConnectionOut"}
_TEST = {
    "type": "object",
    "required": ["webhook_id", "message"],
    "properties": {"webhook_id": {"type": "string"}, "message": {"type": "string"}},
}


class _Event(NamedTuple):
    """What is said of a type of events. `schema` is that of `data`, `data` an example."""

    summary: str
    description: str
    schema: dict[str, Any]
    data: dict[str, Any]


_EVENTS = {
    EventType.SYNC_COMPLETED: _Event(
        "A run finished",
        "With status `success` or `partial`; `data` is its log. With `only_changed`, of those runs alone that wrote"
        " something.",
        _LOG,
        LOG,
    ),
    EventType.SYNC_FAILED: _Event("A run failed", "`data` is its log.", _LOG, FAILED),
    EventType.CONNECTION_EXPIRED: _Event(
        "A connection needs new credentials",
        "Once for each time that it expires; `data` is the connection.",
        _CONNECTION,
        EXPIRED,
    ),
    EventType.WEBHOOK_TEST: _Event(
        "A test was asked for",
        "By `POST /api/v1/webhooks/{webhook_id}/test`.",
        _TEST,
        test_data("whk_789"),
    ),
}
_HEADERS = {
    signing.STANDARD_ID: "The event's id: equal over all attempts, so that one who has seen it can tell.",
    signing.STANDARD_TIMESTAMP: "When this attempt was signed, in Unix seconds.",
    signing.STANDARD_SIGNATURE: (
        "`v1,` and the base64 of an HMAC-SHA256 over id, time and body (Standard Webhooks); two of them, separated"
        " by a space, while two secrets overlap."
    ),
    signing.SIGNATURE: "The hex HMAC-SHA256 of the body, keyed with the secret as it was shown.",
    signing.PREVIOUS_SIGNATURE: "The same with the secret before, while they overlap after a rotation.",
}


def _name(kind: EventType) -> str:
    """`sync.failed` is `SyncFailedEvent`."""
    return "".join(word.title() for word in kind.split(".")) + "Event"


def _schema(kind: EventType, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "title": _name(kind),
        "required": ["id", "type", "created_at", "data"],
        "properties": {
            "id": {"type": "string", "description": "`evt_…`, equal over all attempts."},
            "type": {"const": kind.value},
            "created_at": {"type": "string", "format": "date-time"},
            "data": data,
        },
    }


def _webhook(kind: EventType, told: _Event) -> dict[str, Any]:
    event_id = "evt_654"
    event = {"id": event_id, "type": kind.value, "created_at": AT, "data": told.data}
    moment = int(datetime.fromisoformat(AT).timestamp())
    signed = signing.headers((WEBHOOK_SECRET,), event_id, moment, body_of(EVENT, event))
    return {
        "post": {
            "operationId": _name(kind),
            "tags": ["Webhooks"],
            "summary": told.summary,
            "description": told.description,
            "security": [],
            "parameters": [
                {
                    "name": name,
                    "in": "header",
                    "required": name != signing.PREVIOUS_SIGNATURE,
                    "description": text,
                    "schema": {"type": "string"},
                    **({"example": signed[name]} if name in signed else {}),
                }
                for name, text in _HEADERS.items()
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": f"#/components/schemas/{_name(kind)}"},
                        "example": event,
                    }
                },
            },
            "responses": {
                "2XX": {"description": "Received. To be answered within 15 seconds."},
                "410": {"description": "Gone: nothing is sent here again, until the endpoint is enabled."},
                "default": {
                    "description": "Failed, a redirect too. It is sent again, nine times over about three days."
                },
            },
        }
    }


WEBHOOK_SCHEMAS = {_name(kind): _schema(kind, told.schema) for kind, told in _EVENTS.items()}
WEBHOOKS = {kind.value: _webhook(kind, told) for kind, told in _EVENTS.items()}
