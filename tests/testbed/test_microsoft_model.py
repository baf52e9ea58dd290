"""The model of Graph: the probe of documented behaviour, the check of types, and who may do what."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.testbed.graph_checks.kit import CHECKS, Graph, event
from tests.testbed.microsoft import Model
from tests.testbed.microsoft.contract import SCHEMA, Contract
from tests.testbed.microsoft.quick import Types
from tests.testbed.process import free_port, running

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
described = pytest.mark.skipif(not SCHEMA.exists(), reason="../shared is not here")


def test_the_probe_of_documented_behaviour_passes_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(TESTS)
    port = free_port()
    with running([sys.executable, "-m", "testbed", "microsoft", "--port", str(port)], port, tmp_path / "log"):
        command = [sys.executable, "testbed/probe_graph.py", f"http://127.0.0.1:{port}", "test-token"]
        probed = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    count = probed.stdout.count("PASS | ")
    assert probed.stdout.splitlines()[-1] == f"{count} of {count}", probed.stdout
    assert count >= 60


def test_every_check_of_the_probe_can_fail(microsoft_model: Model) -> None:
    """Against a service that answers everything with an empty object no check passes."""
    graph = Graph(microsoft_model.url, microsoft_model.account().token)
    graph.http.close()
    empty = httpx.MockTransport(lambda request: httpx.Response(200, json={}))
    graph.http = httpx.Client(base_url="http://graph.example/v1.0", transport=empty)
    graph.base = "http://127.0.0.1:9"
    passed = [claim for _, claim, run in CHECKS if _passes(run, graph)]
    assert passed == []


def _passes(run: Callable[[Graph], None], graph: Graph) -> bool:
    try:
        run(graph)
    except Exception:  # noqa: BLE001 whatever goes wrong is a check that failed
        return False
    return True


# Violations


@described
@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"summary": "Lunch"}, "does not have: 'summary' does"),
        ({"showAs": "away"}, "'away' does not match"),
        ({"subject": 5}, "5 is not of type 'string', 'null'"),
        ({"start": {"date": "2026-03-02"}}, "does not have: 'date' does"),
        ({"iCalUId": "x"}, "iCalUId is written by Graph alone"),
        ({"transactionId": "x"}, "transactionId can't be changed"),
    ],
    ids=["unknown", "enumeration", "type", "nested", "read-only", "transactionId"],
)
def test_a_request_that_graph_does_not_describe_is_a_violation(
    microsoft_model: Model, graph: Graph, body: dict[str, Any], found: str
) -> None:
    made = graph.make()
    graph.patch(made["id"], **body)
    assert any(found in one for one in microsoft_model.violations), microsoft_model.violations
    microsoft_model.violations.clear()


@described
def test_a_query_option_that_a_page_does_not_name_is_a_violation(
    microsoft_model: Model, graph: Graph
) -> None:
    graph.get(graph.events, _format="json")
    assert microsoft_model.violations == ["GET calendars/{calendar}/events: no query option $format"]
    microsoft_model.violations.clear()


@described
def test_an_answer_that_graph_does_not_describe_is_a_violation(microsoft_model: Model, graph: Graph) -> None:
    named = microsoft_model.place(graph.calendar, event(), showAs="away")
    graph.read(named)
    assert microsoft_model.violations
    assert all(one.startswith("answer event/showAs") for one in microsoft_model.violations)
    microsoft_model.violations.clear()


@described
def test_enumerations_of_requests_may_be_written_in_any_case(microsoft_model: Model, graph: Graph) -> None:
    made = graph.make(showAs="OOF", sensitivity="Private", body={"contentType": "HTML", "content": ""})
    assert (made["showAs"], made["sensitivity"]) == ("oof", "private")
    assert microsoft_model.violations == []


def test_without_the_schema_nothing_is_checked(tmp_path: Path) -> None:
    contract = Contract(tmp_path / "nothing.json")
    assert not contract.checked
    assert contract.request("event", {"summary": "Lunch"}) == []


@described
@given(st.data())
def test_the_quick_check_agrees_with_the_whole_one(data: st.DataObject) -> None:
    """Over an event in which one value was replaced, or one name."""
    types = json.loads(SCHEMA.read_text())["$defs"]
    body = copy.deepcopy(_EVENT)
    place: Any = body
    while True:
        name = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        if not (isinstance(place[name], dict | list) and place[name]) or data.draw(st.booleans()):
            break
        place = place[name]
    if isinstance(place, dict) and data.draw(st.booleans()):
        place[data.draw(st.sampled_from(["odd", "x@odata.etag", "id"]))] = place.pop(name)
    else:
        place[name] = data.draw(st.sampled_from(_VALUES))
    whole = Draft202012Validator({"$ref": "#/$defs/event", "$defs": types})
    assert Types(types).fits("event", body) is whole.is_valid(body)


_VALUES = (
    None,
    True,
    0,
    -1,
    2**31,
    1.5,
    "",
    "busy",
    "monday",
    "2026-03-02",
    "2026-03-02T10:00:00Z",
    [],
    {},
    [1],
)
_EVENT: dict[str, Any] = {
    "id": "AAMkAD",
    "@odata.etag": "W/1",
    "showAs": "busy",
    "isAllDay": False,
    "reminderMinutesBeforeStart": 15,
    "start": {"dateTime": "2026-03-02T10:00:00", "timeZone": "UTC"},
    "createdDateTime": "2026-03-02T10:00:00Z",
    "categories": ["Red category"],
    "attendees": [{"type": "required", "emailAddress": {"address": "bob@example.com"}}],
    "recurrence": {
        "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]},
        "range": {"type": "endDate", "startDate": "2026-03-02", "endDate": "2026-03-09"},
    },
}


_ASKING = """
import httpx
from tests.testbed.fixtures import microsoft_model, microsoft_server


def test_asking(microsoft_model):
    headers = {"Authorization": f"Bearer {microsoft_model.account().token}"}
    url = f"{microsoft_model.url}/v1.0/me/calendars?%s=1"
    assert httpx.get(url, headers=headers, trust_env=False).status_code == 200
"""


@pytest.mark.parametrize(
    ("option", "outcome"),
    [("$top", "1 passed"), ("$format", "1 passed, 1 error")],
    ids=["described", "not described"],
)
def test_a_violation_fails_the_test_that_caused_it(tmp_path: Path, option: str, outcome: str) -> None:
    (tmp_path / "test_asking.py").write_text(_ASKING % option)
    command = [sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert run.stdout.splitlines()[-1].startswith(f"{outcome} in"), run.stdout
