"""Many thousands of requests made up from the served document, in every way and with every check there is."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.transport import Response
from schemathesis.engine import Status, StopReason, events, from_schema
from schemathesis.engine.recorder import CheckNode, Interaction
from schemathesis.openapi.checks import AllowHeaderMismatch, RejectedPositiveData, UseAfterFree

from calendarsync.accounts.keys import Mode
from calendarsync.api.app import openapi_document
from tests.api.serving import Served
from tests.api.whole import whole

EXAMPLES = 50
"""By chance, of each operation."""

CHAINS = 300
"""Of requests that are each built on the answers before; at most, for where one is not answered as before, as other
requests have changed what is there, no more are made up from them.
"""

CHAINED = 500
"""Requests of such chains."""

CASES = 5_000
"""At least, of each of four runs."""

CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
}

DOCUMENT = openapi_document()
OPERATIONS = {f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods}


@dataclass(frozen=True)
class Exemption:
    """Requests that the document lets pass, and that are refused in these words."""

    field: str
    message: str


# What each of them says is beyond a schema.
EXEMPTIONS = [
    # It names what is there, or was, or must not be there.
    Exemption("starting_after", "there is no such item"),
    Exemption("cursor", "is no cursor of ours|belongs to a request with other filters"),
    Exemption("connection_[ab]_id|connection_id", "no such connection"),
    Exemption("connection_id", "is required: there are more than .+|these hold more than .+"),
    Exemption("calendar_id", "no such calendar here; .+|is required: the account has .+ calendars"),
    Exemption("url|username|password", "a .+ has none"),
    Exemption("uid", "an event of the calendar has it already"),
    # It depends on another field, on another item of its list, or on the time.
    Exemption("cursor", "cannot be combined with page"),
    Exemption("connection_b_id", "a calendar cannot be paired with itself"),
    Exemption("password", "is required with a new username"),
    Exemption("url", "stays as it is; connect the other calendar instead"),
    Exemption("dry_run", "cannot be combined with Prefer: respond-async; .+"),
    Exemption("to", "must be (later than|at most 366 days after) from"),
    Exemption("resume_at", "goes with the status paused"),
    Exemption("(resume|expires)_at", "must (be|lie) in the future|must be within 36,500 days; .+"),
    Exemption(r"attendees\..+", "stands in the list already"),
    Exemption("start|end", "must .+|is required when all_day changes"),
    Exemption("advance_seconds", "the clock can be at most .+ days ahead"),
    # It is one of many names, in any case; a text in a language of its own; or what people can see.
    Exemption(r"(options\.)?timezone", "must be the IANA name of a time zone, .+"),
    Exemption(r"options\.color", "must be the CSS3 name of a colour, .+"),
    Exemption(r"recurrence(\..+)?", ".+"),
    Exemption("url|username|password", r"The (URL|host|address) .+\."),
    Exemption("(calendar_)?name", "must not be blank"),
]


NAMED = {"discover", "bulk", "pause", "resume"}
"""To other methods than POST each is a connection or a pair of that name, which is not there."""


@dataclass
class Run:
    """What came of one."""

    cases: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    exempted: Counter[Exemption] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    succeeded: set[str] = field(default_factory=set)
    seconds: float = 0

    def figures(self) -> str:
        return (
            f"{self.cases.total()} requests in {self.seconds:.0f} s, by phase {dict(self.cases)}, by status"
            f" {dict(sorted(self.statuses.items()))}; {self.checks.total()} checks;"
            f" {self.exempted.total()} refusals beyond a schema;"
            f" without a success: {sorted(OPERATIONS - self.succeeded)}"
        )


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
@pytest.mark.parametrize("mode", list(Mode))
def test_made_up_requests(
    database: str, mode: Mode, request: pytest.FixtureRequest, tmp_path: Path, empty_installation: Path
) -> None:
    if database == "postgresql":
        url = request.getfixturevalue("postgresql_server").make_database()
    else:
        url = f"sqlite:///{shutil.copy(empty_installation, tmp_path)}"
    with whole(url, tmp_path / "log") as served, _fresh_headers(served, mode):
        run = _run(served, mode)
    print(f"{mode} mode on {database}:", run.figures())
    assert not run.failures, "\n\n".join(run.failures.values())
    assert _complaints(tmp_path / "log") == []
    assert run.cases.total() >= CASES
    assert run.checks.keys() >= CHECKS


@contextmanager
def _fresh_headers(served: Served, mode: Mode) -> Iterator[None]:
    """Keeps requests from being refused for what others did: most would have the headers of the examples, and
    without its own key every one would fail.
    """
    own = _own_key_id(served, mode)
    examples = {
        name: parameter["schema"]["examples"]
        for name, parameter in DOCUMENT["components"]["parameters"].items()
    }

    def before_call(_context: object, case: schemathesis.Case, _kwargs: dict[str, Any]) -> None:
        if case.headers.get("Idempotency-Key") in examples["Idempotency-Key"]:
            case.headers["Idempotency-Key"] = str(uuid4())
        if case.headers.get("If-Match") in examples["If-Match"]:
            del case.headers["If-Match"]
        if case.path_parameters.get("key_id") == own and case.method != "GET":
            case.path_parameters["key_id"] = "key_nothere"

    schemathesis.hook(before_call)
    try:
        yield
    finally:
        schemathesis.hooks.unregister(before_call)


def _own_key_id(served: Served, mode: Mode) -> str:
    key = served.keys[mode]
    answer = httpx.get(f"{served.url}/api/v1/api-keys", headers={"Authorization": f"Bearer {key}"})
    (own,) = [each["id"] for each in answer.json()["api_keys"] if each["display"].endswith(key[-4:])]
    assert isinstance(own, str)
    return own


def _run(served: Served, mode: Mode) -> Run:
    run = Run()
    _go_through(run, served, mode, {})
    while run.cases["stateful"] < CHAINED:
        before = run.cases["stateful"]
        _go_through(run, served, mode, {"enabled": False})
        assert run.cases["stateful"] > before
    return run


def _go_through(run: Run, served: Served, mode: Mode, phases: dict[str, Any]) -> None:
    """All phases but those that are left out."""
    url = f"{served.url}/api/v1/openapi.json"
    schema = schemathesis.openapi.from_url(url, config=_config(served.keys[mode], phases))
    schema.hooks.register_hook_with_name(partial(_keeps, run), "filter_failure")
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _note(run, event)
        elif isinstance(event, events.NonFatalError):
            run.failures[event.label] = f"{event.label}: {event.value!r}"
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.EngineFinished):
            assert event.stop_reason is StopReason.COMPLETED
            run.seconds += event.running_time


def _config(key: str, phases: dict[str, Any]) -> schemathesis.Config:
    accepting = ["2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx"]
    return schemathesis.Config.from_dict(
        {
            "headers": {"Authorization": f"Bearer {key}"},
            "continue-on-failure": True,
            "cache": {"enabled": False},
            "suppress-health-check": ["all"],
            "generation": {
                "max-examples": EXAMPLES,
                "no-shrink": True,
                "database": "none",
                # The key goes with every request; a case that takes it away would be sent with it all the same.
                "with-security-parameters": False,
            },
            "phases": phases | {"stateful": {"enabled": True, "generation": {"max-examples": CHAINS}}},
            # 412 is like 409: what was sent is well formed, and meets another state.
            "checks": {"enabled": True, "positive_data_acceptance": {"expected-statuses": accepting}},
        }
    )


def _keeps(run: Run, _context: object, failure: Failure, case: schemathesis.Case, response: Response) -> bool:
    """Whether a failure is one."""
    if urlsplit(str(response.request.url)).path.count("/") != case.path.count("/"):
        return False  # a `.` as an id: the client itself makes another path of it, before it asks
    if isinstance(failure, AcceptedNegativeData) and case.path.endswith("/bulk"):
        return False  # of many pairs each is judged by itself, in an answer of 200
    if isinstance(failure, AllowHeaderMismatch) and case.path.rpartition("/")[2] in NAMED:
        return False
    if isinstance(failure, UseAfterFree) and "/api-keys/" in case.path:
        return (
            response.json()["status"] != "revoked"
        )  # what is revoked is shown as such, for those who look into it
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
        return True
    found = [_exemption(detail) for detail in response.json()["error"]["details"]]
    if None in found:
        return True
    run.exempted.update(each for each in found if each)
    return False


def _exemption(detail: dict[str, str]) -> Exemption | None:
    return next(
        (
            each
            for each in EXEMPTIONS
            if re.fullmatch(each.field, detail["field"]) and re.fullmatch(each.message, detail["message"])
        ),
        None,
    )


def _note(run: Run, event: events.ScenarioFinished) -> None:
    recorder = event.recorder
    for case_id, interaction in recorder.interactions.items():
        operation = recorder.cases[case_id].value.operation.label
        status = interaction.response.status_code if interaction.response else 0
        run.cases[event.phase.value] += 1
        run.statuses[status] += 1
        if 200 <= status < 300:
            run.succeeded.add(operation)
        for check in recorder.checks.get(case_id, ()):
            run.checks[check.name] += 1
            if check.status is not Status.SUCCESS:
                told = _told(check, interaction)
                run.failures.setdefault(f"{check.name} {operation} {told.rpartition('message')[2]}", told)


def _told(check: CheckNode, interaction: Interaction) -> str:
    request, response = interaction.request, interaction.response
    why = check.failure_info.failure.message if check.failure_info else "the check itself failed"
    said = response.content.decode(errors="replace") if response else "no answer"
    return f"{check.name}: {why}\n{request.method} {request.uri}\n{request.headers}\n{request.body!r}\n{said}"


def _complaints(log: Path) -> list[str]:
    """Lines that nobody would want to see: of requests that failed, and of anything as bad."""
    lines = log.read_text().splitlines()
    assert any("Application startup complete" in line for line in lines)
    return [
        line
        for line in lines
        if "request failed" in line or json.loads(line)["level"] in ("error", "critical")
    ]
