"""The check of requests and answers against what Google describes: nothing in the suite may break it unnoticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.google import Model
from tests.testbed.google_calling import Caller, at, meeting

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ann(google_model: Model) -> Caller:
    return Caller(google_model)


@pytest.mark.parametrize(
    ("http_method", "path", "given", "violation"),
    [
        ("GET", "", {"params": {"singleEvents": "True"}}, "singleEvents=True is no boolean"),
        ("GET", "", {"params": {"maxResults": "0"}}, "maxResults=0 is no integer"),
        (
            "GET",
            "",
            {"params": {"timeMin": "2026-01-01T00:00:00"}},
            "timeMin=2026-01-01T00:00:00 is no string",
        ),
        ("GET", "", {"params": {"orderBy": "start"}}, "orderBy=start is no string"),
        ("GET", "", {"params": {"orderby": "updated"}}, "unknown query parameter orderby"),
        ("GET", "", {"params": {"q": ["a", "b"]}}, "q is repeated"),
        ("GET", "", {"json": {}}, "takes no body"),
        ("POST", "", {"json": meeting(title="x")}, "Event: Additional properties are not allowed"),
        ("POST", "", {"json": meeting(status="busy")}, "Event/status: 'busy' is not one of"),
        ("POST", "", {"json": meeting(location=None)}, "Event/location: None is not of type 'string'"),
        ("POST", "", {"json": {"start": at("2026-03-02 10:00")}}, "body lacks end"),
        (
            "POST",
            "",
            {"json": meeting(id="abcde", iCalUID="x@y")},
            "only one of id and iCalUID should be supplied",
        ),
        (
            "POST",
            "",
            {"json": meeting(recurrence=["DTSTART:20260302T090000Z"])},
            "recurrence holds DTSTART or DTEND",
        ),
        ("POST", "", {"json": meeting(start={"dateTime": "2026-03-02T10:00:00"})}, "start lacks timeZone"),
        ("POST", "/x/move", {}, "query lacks destination"),
        (
            "PATCH",
            "/x",
            {"json": {"start": {"date": "2026-3-2"}}},
            "Event/start/date: '2026-3-2' is not a 'date'",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_request_that_google_does_not_describe_is_a_violation(
    google_model: Model, http_method: str, path: str, given: dict[str, Any], violation: str
) -> None:
    Caller(google_model).raw(http_method, path, **given)
    [found] = [each for each in google_model.violations if violation in each]
    assert found.startswith("calendar.events.")
    google_model.violations.clear()


@pytest.mark.parametrize(
    "given",
    [
        {"attendees": "bob"},
        {"attendees": ["bob"]},
        {"start": "now"},
        {"start": {"dateTime": 5}},
        {"recurrence": [5]},
        {"reminders": [1]},
        {"extendedProperties": {"private": {"a": 1}}},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_and_a_violation(google_model: Model, given: dict[str, Any]) -> None:
    assert Caller(google_model).raw("POST", json=meeting(**given)).status_code == 400
    assert google_model.violations
    assert not any("the model failed" in each for each in google_model.violations)
    google_model.violations.clear()


def test_what_google_describes_is_no_violation(ann: Caller) -> None:
    event = ann.insert(recurrence=["RRULE:FREQ=DAILY"])
    ann.patch(event["id"], {"recurrence": None, "start": {"timeZone": None, **at("2026-03-02 09:00", "UTC")}})
    ann.list(timeMin="2026-01-01T00:00:00.000Z", privateExtendedProperty=["a=b", "c=d"], maxResults=2500)
    assert ann.model.violations == []


def test_an_answer_that_google_does_not_describe_is_a_violation(ann: Caller) -> None:
    event = ann.insert()
    entry = ann.model._world.calendars[ann.account.email].entries[event["id"]]
    entry.event["colour"] = "red"
    del entry.event["iCalUID"]
    ann.get(event["id"])
    assert [each.partition(": ")[2] for each in ann.model.violations] == [
        "answer 200: Event: Additional properties are not allowed ('colour' was unexpected)",
        "answer 200: Event lacks iCalUID",
    ]
    ann.model.violations.clear()


_ASKING = """
import httpx
import pytest

from tests.testbed.fixtures import google_model, google_server


@pytest.mark.parametrize(("given", "status"), [("1", 200), ("none", 400)])
def test_asking(google_model, given, status):
    headers = {"Authorization": f"Bearer {google_model.account().token}"}
    url = f"{google_model.url}/calendar/v3/calendars/primary/events?maxResults={given}"
    assert httpx.get(url, headers=headers, trust_env=False, verify=False).status_code == status
"""


def test_a_violation_fails_the_test_that_caused_it(tmp_path: Path) -> None:
    (tmp_path / "test_asking.py").write_text(_ASKING)
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert "2 passed, 1 error in" in run.stdout, run.stdout
    [failed] = [line for line in run.stdout.splitlines() if line.startswith("ERROR ")]
    assert "test_asking[none-400]" in failed
    assert "calendar.events.list: maxResults=none is no integer" in run.stdout
