"""Bodies of deliveries: the event as it is, and as a message that Slack takes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.webhooks.catalogue import EventType
from calendarsync.webhooks.formats import body_of

LOG: dict[str, Any] = {
    "id": "log_456",
    "pair_id": "pair_xyz789",
    "status": "success",
    "events_synced": 12,
    "duration_ms": 843,
    "events_created": 2,
    "events_updated": 0,
    "events_deleted": 1,
    "events_skipped": 0,
    "error": None,
}
FAILURE = {"code": "timeout", "message": "dav.example.com did not answer in time."}
CONNECTION: dict[str, Any] = {
    "id": "conn_abc123",
    "provider": "google",
    "email": "you@gmail.com",
    "calendar_name": "My Calendar",
    "last_error": None,
}
DATA: dict[str, dict[str, Any]] = {
    "sync.completed": LOG,
    "sync.failed": {**LOG, "status": "failed", "error": FAILURE},
    "connection.expired": CONNECTION,
    "webhook.test": {"webhook_id": "whk_1"},
}


def event(kind: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "type": kind,
        "created_at": "2026-03-28T10:00:00Z",
        "data": {**DATA[kind], **changes},
    }


def message(kind: str, **changes: Any) -> tuple[str, str]:
    """What Slack shows in a notification, and in the channel."""
    sent = json.loads(body_of("slack", event(kind, **changes)))
    assert sent.keys() == {"text", "blocks"}
    section, context = sent["blocks"]
    assert section["text"]["type"] == context["elements"][0]["type"] == "mrkdwn"
    assert section["text"]["verbatim"] is True
    assert 0 < len(section["text"]["text"]) <= 3000
    assert context["elements"][0]["text"] == (
        "<!date^1774692000^{date_short_pretty} {time_secs}|2026-03-28T10:00:00Z> · `evt_1`"
    )
    return sent["text"], section["text"]["text"]


def test_an_event_is_sent_as_it_is() -> None:
    sent = event("connection.expired", calendar_name="Büro <1>")
    assert body_of("event", sent).decode() == json.dumps(sent, ensure_ascii=False, separators=(",", ":"))


def test_there_is_a_message_for_every_type() -> None:
    assert DATA.keys() == set(EventType)
    assert len({message(kind) for kind in DATA}) == len(DATA)


def test_a_completed_sync() -> None:
    assert message("sync.completed") == (
        "Sync completed",
        "*Sync completed*\nPair `pair_xyz789`: 2 created, 0 updated, 1 deleted; 12 events looked at in 0.8 s."
        "\nLog `log_456`",
    )
    text, body = message("sync.completed", status="partial", events_skipped=3, events_synced=1)
    assert text == "Sync completed, but not for every event"
    assert "1 deleted, 3 skipped; 1 event looked at" in body


def test_a_failed_sync() -> None:
    assert message("sync.failed") == (
        "Sync failed",
        "*Sync failed*\nPair `pair_xyz789` was not synced."
        "\nReason: dav.example.com did not answer in time. (`timeout`)\nLog `log_456`",
    )


def test_an_expired_connection() -> None:
    assert message("connection.expired") == (
        "A calendar connection has expired",
        "*A calendar connection has expired*\n“My Calendar” of you@gmail.com (Google Calendar, `conn_abc123`) is"
        " not synced until access is granted again.",
    )
    assert " of " not in message("connection.expired", email=None)[1]
    assert "(carrier pigeon, " in message("connection.expired", provider="carrier pigeon")[1]


@given(name=st.text(max_size=600), email=st.text(min_size=1, max_size=320))
def test_no_name_is_markup_or_too_long(name: str, email: str) -> None:
    _, body = message("connection.expired", calendar_name=name, email=email, last_error=FAILURE)
    assert not re.search(r"[<>]|&(?!(amp|lt|gt);)", body)
    assert len(body.splitlines()) == 3


def test_a_long_name_is_cut_before_slack_refuses_it() -> None:
    _, body = message("connection.expired", calendar_name="&" * 600, email="<" * 320)
    assert f"“{'&amp;' * 200}…” of {'&lt;' * 200}… (" in body


def test_nobody_is_called_by_a_name() -> None:
    _, body = message("connection.expired", calendar_name="<!channel> & <@U1>\n*x*")
    assert "“&lt;!channel&gt; &amp; &lt;@U1&gt; *x*”" in body


def test_what_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValueError, match="pigeon"):
        body_of("pigeon", event("webhook.test"))
    with pytest.raises(ValueError, match="sync\\.begun"):
        body_of("slack", {**event("webhook.test"), "type": "sync.begun"})
