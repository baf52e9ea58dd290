"""docs/reference/webhooks.md: its examples are what is sent, and its code verifies what we sign."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from calendarsync.client import SignatureInvalid
from calendarsync.jobs.tidy import KEEP_EVENTS
from calendarsync.webhooks import catalogue
from calendarsync.webhooks.catalogue import EventType, connection_data, log_data
from calendarsync.webhooks.delivery import Sender
from calendarsync.webhooks.formats import body_of
from calendarsync.webhooks.retry import DELAYS
from calendarsync.webhooks.signing import headers, new_secret, verify

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/webhooks.md").read_text()
READERS = "read_with_the_client", "read_with_the_library", "read_by_hand", "read_by_the_body"
REFUSALS = (SignatureInvalid, WebhookVerificationError, ValueError)
BODY = body_of(
    "event", {"id": "evt_1", "type": "webhook.test", "created_at": "2026-03-28T10:00:00Z", "data": {}}
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    part = PAGE.split(f"\n## {heading}\n")[1]
    lines = re.search(r"(?:^\|.*\n)+", part, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


@pytest.fixture(scope="module")
def readers() -> dict[str, Callable[..., str]]:
    namespace: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "webhooks.md", "exec"), namespace)
    return {name: namespace[name] for name in READERS}


def lower(sent: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in sent.items()}


@pytest.mark.parametrize("reader", READERS)
def test_the_python_of_the_page_verifies(readers: dict[str, Callable[..., str]], reader: str) -> None:
    read, new, old = readers[reader], new_secret(), new_secret()
    now = int(time.time())
    for secrets in ([new], [new, old]):
        sent = lower(headers(secrets, "evt_1", now, BODY))
        assert [read(BODY, sent, secret) for secret in secrets] == ["evt_1"] * len(secrets)
        for body, secret in ((BODY + b" ", new), (BODY, new_secret())):
            with pytest.raises(REFUSALS):
                read(body, sent, secret)
    recorded = lower(headers([new], "evt_1", now - 400, BODY))
    if reader == "read_by_the_body":
        assert read(BODY, recorded, new) == "evt_1"
    else:
        with pytest.raises(REFUSALS):
            read(BODY, recorded, new)


def in_shell(script: str, folder: Path, body: bytes, secret: str, event_id: str, timestamp: str) -> list[str]:
    (folder / "body.json").write_bytes(body)
    variables = {"SECRET": secret, "ID": event_id, "TIMESTAMP": timestamp, "PATH": "/usr/bin:/bin"}
    run = ["sh", "-eu", "-c", script]
    return subprocess.run(
        run, cwd=folder, env=variables, check=True, capture_output=True, text=True
    ).stdout.split()


def test_the_shell_of_the_page_signs_the_same(tmp_path: Path) -> None:
    (script,) = blocks("sh")
    secret = new_secret()
    sent = headers([secret], "evt_1", 1_774_692_000, BODY)
    found = in_shell(script, tmp_path, BODY, secret, "evt_1", "1774692000")
    assert found == [sent["X-CalSync-Signature"], sent["webhook-signature"]]


def test_the_example_to_check_code_with() -> None:
    given = dict(line.split(": ", 1) for line in blocks("text")[0].splitlines())
    secret, body = given.pop("secret"), given.pop("body").encode()
    assert headers([secret], given["webhook-id"], int(given["webhook-timestamp"]), body) == given
    verify(secret, given, body, now=int(given["webhook-timestamp"]))


EXAMPLES = {each["type"]: each for each in map(json.loads, blocks("json"))}
LOG = {
    **EXAMPLES["sync.failed"]["data"],
    "events_processed": 0,
    "created_at": datetime(2026, 3, 28, 10, 5, tzinfo=UTC),
    "error_code": EXAMPLES["sync.failed"]["data"]["error"]["code"],
    "error_message": EXAMPLES["sync.failed"]["data"]["error"]["message"],
}
CONNECTION = {
    **EXAMPLES["connection.expired"]["data"],
    "last_synced_at": datetime(2026, 3, 28, 10, tzinfo=UTC),
    "created_at": datetime(2026, 1, 2, 9, 30, tzinfo=UTC),
    "last_error_code": EXAMPLES["connection.expired"]["data"]["last_error"]["code"],
    "last_error_message": EXAMPLES["connection.expired"]["data"]["last_error"]["message"],
}


def test_every_event_is_shown_as_it_is_sent() -> None:
    assert EXAMPLES.keys() == set(EventType)
    assert EXAMPLES["sync.failed"]["data"] == log_data(LOG)
    assert EXAMPLES["sync.completed"]["data"].keys() == log_data(LOG).keys()
    assert EXAMPLES["connection.expired"]["data"] == connection_data(CONNECTION)
    tested = EXAMPLES["webhook.test"]["data"]
    assert tested == catalogue.test_data(tested["webhook_id"])
    assert [row[0].strip("`") for row in rows("Events")] == list(EventType)


def test_the_pauses_between_attempts_are_those_of_the_table() -> None:
    units = {"s": "seconds", "min": "minutes", "h": "hours"}

    def duration(text: str) -> timedelta:
        parts = re.findall(r"(\d+) (s|min|h)", text)
        return sum((timedelta(**{units[unit]: int(number)}) for number, unit in parts), timedelta())

    attempts = rows("Retries")
    assert [int(number) for number, _, _ in attempts] == list(range(1, len(DELAYS) + 2))
    assert [duration(pause) for _, pause, _ in attempts[1:]] == list(DELAYS)
    for made, (_, _, since) in enumerate(attempts):
        exact = sum(DELAYS[:made], timedelta())
        assert exact - duration(since) < timedelta(minutes=1), since


def test_every_error_of_an_attempt_is_explained() -> None:
    told = set(re.findall(r"`(\w+)`", str(Sender.send.__doc__)))
    assert {row[0].strip("`") for row in rows("The delivery log")} == told


def test_the_log_goes_back_as_far_as_the_page_says() -> None:
    assert f"It goes back {KEEP_EVENTS.days} days." in PAGE
