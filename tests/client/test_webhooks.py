"""verify_webhook: what comes from the server becomes an event, and nothing else does."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from calendarsync.client import SignatureInvalid, verify_webhook
from calendarsync.webhooks import signing
from tests.client.test_answers import CONNECTION, LOG

SECRET = signing.new_secret()


def delivery(type_: str, data: object, *, ago: float = 0, **more: object) -> tuple[bytes, dict[str, str]]:
    event = {"id": "evt_1", "type": type_, "created_at": "2026-03-28T10:00:00Z", "data": data, **more}
    body = json.dumps(event, ensure_ascii=False).encode()
    return body, signing.headers([SECRET], "evt_1", int(time.time() - ago), body)


def test_events_have_types() -> None:
    event = verify_webhook(*delivery("sync.failed", LOG), SECRET)
    assert (event.id, event.created_at) == ("evt_1", datetime(2026, 3, 28, 10, tzinfo=UTC))
    assert event.log.pair_id == "pair_1"
    with pytest.raises(ValueError, match="no connection"):
        _ = event.connection
    event = verify_webhook(*delivery("connection.expired", CONNECTION), SECRET)
    assert event.connection.calendar_name == "Work"
    with pytest.raises(ValueError, match="no log"):
        _ = event.log


def test_what_a_later_server_sends() -> None:
    body, headers = delivery("pair.renamed", {"ümlaut": 1}, version=2)
    assert verify_webhook(body.decode(), headers, SECRET).data == {"ümlaut": 1}


class Items:
    """Headers of a framework that has its own kind of them."""

    def __init__(self, given: dict[str, str]) -> None:
        self._given = given

    def items(self) -> Any:
        return iter((name.upper(), value) for name, value in self._given.items())


def test_headers_of_any_framework() -> None:
    body, headers = delivery("webhook.test", {})
    assert verify_webhook(body, Items(headers), SECRET).type == "webhook.test"


@pytest.mark.parametrize(("ago", "code"), [(301, "too_old"), (-305, "too_new")])
def test_what_is_old_is_refused(ago: float, code: str) -> None:
    with pytest.raises(SignatureInvalid) as caught:
        verify_webhook(*delivery("webhook.test", {}, ago=ago), SECRET)
    assert caught.value.code == code
    assert verify_webhook(*delivery("webhook.test", {}, ago=ago), SECRET, tolerance=400).id == "evt_1"


def test_what_is_not_signed_is_refused() -> None:
    body, headers = delivery("webhook.test", {})
    legacy = {name: value for name, value in headers.items() if name.startswith("X-")}
    for given, sent, secret, code in (
        (body + b" ", headers, SECRET, "no_match"),
        (body, headers, signing.new_secret(), "no_match"),
        ("\ud800", headers, SECRET, "no_match"),
        (body, {}, SECRET, "missing_headers"),
        (body, legacy, SECRET, "missing_headers"),
        (body, {**headers, "webhook-timestamp": "soon"}, SECRET, "malformed_headers"),
    ):
        with pytest.raises(SignatureInvalid) as caught:
            verify_webhook(given, sent, secret)
        assert caught.value.code == code
    with pytest.raises(ValueError, match="webhook secret"):
        verify_webhook(body, headers, "not one")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"id": "evt_1"}'])
def test_what_is_signed_and_no_event(body: bytes) -> None:
    headers = signing.headers([SECRET], "evt_1", int(time.time()), body)
    with pytest.raises(SignatureInvalid) as caught:
        verify_webhook(body, headers, SECRET)
    assert caught.value.code == "malformed_body"
