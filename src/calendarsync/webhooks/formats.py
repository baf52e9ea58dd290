"""What a delivery's body is: the event itself, or a message that Slack shows.

A Slack message is what its incoming webhooks take (docs.slack.dev: incoming webhooks, text object, formatting
message text): `text` for notifications, `blocks` for the channel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

EVENT, SLACK = "event", "slack"

_LONGEST_NAME = 200  # characters; a block takes 3,000
_PROVIDERS = {
    "google": "Google Calendar",
    "microsoft": "Microsoft 365",
    "caldav": "CalDAV",
    "ics": "ICS feed",
    "sandbox": "sandbox",
}


def body_of(format: str, event: Mapping[str, Any]) -> bytes:  # noqa: A002 - the name of the field in the API
    """`event` has `id`, `type`, `created_at` (RFC 3339) and `data`, all of it JSON.

    Raises ValueError for a format or, as a Slack message, an event type that does not exist.
    """
    if format == EVENT:
        return _json(event)
    if format == SLACK:
        return _json(_slack(event))
    raise ValueError(f"there is no webhook format {format!r}")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _slack(event: Mapping[str, Any]) -> dict[str, Any]:
    headline, text = _words(event["type"], event["data"])
    lines = f"*{headline}*" + (f"\n{text}" if text else "")
    return {
        "text": headline,
        "blocks": [
            {"type": "section", "text": _mrkdwn(lines)},
            {"type": "context", "elements": [_mrkdwn(f"{_moment(event['created_at'])} · `{event['id']}`")]},
        ],
    }


def _words(kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    """A headline and what stands under it, escaped."""
    match kind:
        case "sync.completed":
            return _completed(data)
        case "sync.failed":
            return _failed(data)
        case "connection.expired":
            return _expired(data)
        case "webhook.test":
            return "CalendarSync: a test message", "Events of your calendar syncs are going to appear here."
    raise ValueError(f"there is no webhook event {kind!r}")


def _completed(log: Mapping[str, Any]) -> tuple[str, str]:
    partly = log["status"] == "partial"
    headline = f"Sync completed{', but not for every event' if partly else ''}"
    done = [f"{log[f'events_{verb}']} {verb}" for verb in ("created", "updated", "deleted")]
    if log["events_skipped"]:
        done.append(f"{log['events_skipped']} skipped")
    looked = "1 event" if log["events_synced"] == 1 else f"{log['events_synced']} events"
    text = (
        f"Pair `{log['pair_id']}`: {', '.join(done)}; {looked} looked at in {_seconds(log['duration_ms'])}."
    )
    return headline, text + _problem(log["error"]) + _where(log)


def _failed(log: Mapping[str, Any]) -> tuple[str, str]:
    return "Sync failed", f"Pair `{log['pair_id']}` was not synced.{_problem(log['error'])}{_where(log)}"


def _expired(connection: Mapping[str, Any]) -> tuple[str, str]:
    whose = f" of {_named(connection['email'])}" if connection["email"] else ""
    provider = _PROVIDERS.get(connection["provider"], connection["provider"])
    text = (
        f"“{_named(connection['calendar_name'])}”{whose} ({_escaped(provider)}, `{connection['id']}`) is not synced"
        " until access is granted again."
    )
    return "A calendar connection has expired", text + _problem(connection["last_error"])


def _problem(problem: Mapping[str, Any] | None) -> str:
    return f"\nReason: {_escaped(problem['message'])} (`{_escaped(problem['code'])}`)" if problem else ""


def _where(log: Mapping[str, Any]) -> str:
    return f"\nLog `{log['id']}`"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s"


def _moment(created_at: str) -> str:
    """In the zone of whoever reads it."""
    moment = datetime.fromisoformat(created_at)
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} {{time_secs}}|{_escaped(created_at)}>"


def _mrkdwn(text: str) -> dict[str, Any]:
    """`verbatim`: no name or address in it becomes a link or a mention."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _named(text: str) -> str:
    """What a person wrote, on one line."""
    line = " ".join(text.split())
    return _escaped(line if len(line) <= _LONGEST_NAME else line[:_LONGEST_NAME] + "…")


def _escaped(text: str) -> str:
    """Slack's three control characters, and no others, have entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
