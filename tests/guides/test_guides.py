"""Every guide's commands, run as they stand against a server of our own, and what they are said to do."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from calendarsync.metrics import Metrics
from tests.guides.runner import ROOT, blocks_of, run
from tests.guides.stage import client_of, pair_two, serving
from tests.testbed.process import free_port

GUIDES = ROOT / "docs" / "guide"
ELSEWHERE = {"api-quickstart.md"}
"""Run by a test of their own."""


def guide(name: str) -> str:
    return (GUIDES / name).read_text("utf-8")


def test_every_guide_with_commands_is_run() -> None:
    here = Path(__file__).read_text("utf-8")
    with_commands = [
        page.name
        for page in GUIDES.glob("*.md")
        if any(block.is_run for block in blocks_of(page.read_text("utf-8")))
    ]
    assert len(with_commands) >= 6
    assert [name for name in with_commands if f'guide("{name}")' not in here and name not in ELSEWHERE] == []


def test_automation(tmp_path: Path) -> None:
    with serving(tmp_path) as reader:
        key, listed, triggered, started, python = run(guide("automation.md"), tmp_path, pair_two(reader))
    assert re.search(r"^cs_live_\w{38,}$", key, re.MULTILINE)
    assert re.search(r"^pair_\w+ active$", listed, re.MULTILINE)
    assert json.loads(triggered)["success"] is True
    assert started.strip() == "success"
    assert python.strip() == "0 new, 0 changed, 0 gone"


def test_booking_form(tmp_path: Path) -> None:
    with serving(tmp_path) as reader:
        staged = pair_two(reader) | {"PORT": str(free_port())}
        _, booked, notified, copies, busy = run(guide("booking-form.md"), tmp_path, staged)
    assert booked.strip() == ""
    tomorrow = json.loads((tmp_path / "booking.json").read_text("utf-8"))["start"][:10]
    assert "blocked: 1" in notified
    assert copies.strip() == f"Busy {tomorrow}T09:00:00Z"
    assert busy.strip() == f"{tomorrow}T09:00:00Z – {tomorrow}T10:00:00Z"


def test_availability_board(tmp_path: Path) -> None:
    with serving(tmp_path) as reader:
        staged = pair_two(reader)
        now = datetime.now(UTC).replace(microsecond=0)
        with client_of(staged) as client:
            client.sandbox.create_event(staged["WORK"], now, now + timedelta(hours=1), title="canary-3c9e")
            assert client.sync_pairs.trigger(staged["PAIR"]).events_created == 1
        one, _ = run(guide("availability-board.md"), tmp_path, staged)
        board = (tmp_path / "board.html").read_text("utf-8")
    assert [each["known"] for each in json.loads(one)["connections"]] == [True, True]
    assert len(json.loads(one)["busy"]) == 1
    assert re.findall(r'<tr class="(\w+)"><th>(.*?)</th>', board) == [("busy", "you@example.com")]
    assert f"until {now + timedelta(hours=1):%H:%M} UTC" in board
    assert "canary" not in board


def test_monitoring(tmp_path: Path) -> None:
    with serving(tmp_path) as reader:
        staged = pair_two(reader) | {"PORT": str(free_port())}
        told = run(guide("monitoring.md"), tmp_path, staged)
    health, check, runs, latency, notices, failed, checked, _, alarm = told
    assert json.loads(health)["status"] == "ok"
    assert check.strip() == "healthy"
    assert re.search(r'^calendarsync_runs_total{status="success",trigger="\w+"} [1-9]', runs, re.MULTILINE)
    assert (notices.strip(), failed.strip(), checked.strip()) == ("", "", "OK")
    assert latency.strip() == "null"
    assert {line.split()[0] for line in alarm.splitlines() if line} >= {"webhook.test", "connection.expired"}


def test_explain(tmp_path: Path) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    start, end = (f"{tomorrow:%Y-%m-%d}T{hour}:00:00Z" for hour in ("09", "10"))
    with serving(tmp_path) as reader:
        staged = pair_two(reader) | {"WHEN": f"{tomorrow:%Y-%m-%d}T09:30Z"}
        with client_of(staged) as client:
            lunch = client.sandbox.create_event(
                staged["WORK"], title="Lunch", start=start, end=end, transparency="transparent"
            )
            assert client.sync_pairs.trigger(staged["PAIR"]).success
        answered, printed = run(guide("explain.md"), tmp_path, staged)
    assert answered.startswith(f"source {lunch.id}: skip, free. It is shown as free.")
    assert f"source {lunch.id} from {tomorrow:%Y-%m-%d} 09:00Z in " in printed
    assert "free (rule 6): It is shown as free." in printed


def test_maintenance(tmp_path: Path) -> None:
    with serving(tmp_path) as reader:
        staged = pair_two(reader)
        paused, selection, resumed, python = run(guide("maintenance.md"), tmp_path, staged)
        with client_of(staged) as client:
            pair = client.sync_pairs.get(staged["PAIR"])
    assert json.loads(paused) == {"results": [{"pair_id": staged["PAIR"], "result": "changed"}], "changed": 1}
    assert json.loads(selection) == {"pair_ids": []}
    assert json.loads(resumed)["changed"] == 1
    assert python.strip().endswith("1 paused, 1 resumed")
    assert (pair.status, pair.resume_at) == ("active", None)


def test_pairs_of_one_server_are_selected(tmp_path: Path) -> None:
    (block,) = [
        each for each in blocks_of(guide("maintenance.md")) if "selection.json" in each.text and each.is_run
    ]
    with serving(tmp_path) as reader:
        staged = pair_two(reader)
        text = block.text.replace("HOST=caldav.example.com", f"HOST={staged['PRIVATE']}")
        (selection,) = run(f"```bash\n{text}```\n", tmp_path, staged)
    assert json.loads(selection) == {"pair_ids": [staged["PAIR"]]}


def test_onboarding(tmp_path: Path) -> None:
    with serving(tmp_path) as reader:
        _, checked, first, second, counted, bulk, python, gone = run(guide("onboarding.md"), tmp_path, reader)
    assert "3 rows, and nothing is wrong with them" in checked
    assert "3 rows: 3 done, 0 failed.\nResults: people.results.csv" in first
    assert "3 of 3 rows are done already." in second
    assert counted.strip() == "6 calendars are connected"
    assert json.loads(bulk) == [0, 409, "conflict"]
    assert python.strip() == "201 active"
    assert gone.strip() == "204"


def test_a_problem_is_seen_by_the_check(tmp_path: Path) -> None:
    checks = [block for block in blocks_of(guide("monitoring.md")) if "check.py" in block.text]
    page = "\n".join(f"```{block.language}\n{block.text}```" for block in checks)
    with serving(tmp_path) as reader:
        staged = pair_two(reader)
        with client_of(staged) as client:
            client.sandbox.order_fault(staged["WORK"], "expire")
            assert not client.sync_pairs.trigger(staged["PAIR"]).success
        (said,) = run(page, tmp_path, staged)
        (unknown,) = run(page, tmp_path, staged | {"CALENDARSYNC_API_KEY": "cs_test_none"})
    assert f"connection_expired {staged['WORK_CONNECTION']}" in said
    assert f"{staged['PAIR']} failed at" in said
    assert said.endswith("exit status 2\n")
    assert unknown.startswith("UNKNOWN")
    assert unknown.endswith("exit status 3\n")


def test_the_table_of_metrics_is_that_of_the_program() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", guide("monitoring.md"), re.MULTILINE)
    described = {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(described) == len(rows)
    told = {}
    for family in Metrics().registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        told[name] = family.type
    assert {name: kind for name, (kind, _) in described.items()} == told
    assert described == {name: (told[name], labels) for name, labels in labels_of_metrics().items()}


def labels_of_metrics() -> dict[str, frozenset[str]]:
    metrics = Metrics()
    metrics.count_request("operation", 200, 0.1)
    metrics.count_run(
        status="success", trigger="api", seconds=0.1, created=1, updated=1, deleted=1, provider_requests=1
    )
    metrics.count_webhook_attempt("delivered", 0.1)
    metrics.set_database("sqlite", up=True, in_use=0, idle=0)
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: frozenset(
            label for sample in family.samples for label in sample.labels if label != "le"
        )
        for family in metrics.registry.collect()
    }


@pytest.mark.parametrize("name", sorted(page.name for page in GUIDES.glob("*.md")))
def test_python_in_guides_compiles(name: str) -> None:
    for block in blocks_of(guide(name)):
        if block.language == "python":
            compile(block.text, f"{name}:{block.line}", "exec")
