"""`calendarsync onboard` against a real server: sandbox and CalDAV, interrupted, repeated, refused."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from calendarsync.cli.onboarding.people import read_people
from calendarsync.cli.onboarding.results import Results
from calendarsync.cli.onboarding.work import Onboarding
from calendarsync.client import AsyncCalendarSync, AuthenticationError, CalendarSync, ConnectionFailed
from tests.cli.processes import PATIENCE_SECONDS, environment, wait_for
from tests.client.scripted import Reply, Scripted, error, scripted
from tests.testbed.process import free_port
from tests.testbed.radicale import RadicaleServer, radicale_server

SANDBOX = ("--a-provider", "sandbox", "--b-provider", "sandbox")


@dataclass(frozen=True)
class Office:
    """A running server, and the folder from which somebody onboards people."""

    folder: Path
    settings: Mapping[str, str]
    url: str

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "calendarsync", *arguments],
            cwd=self.folder,
            env={**self.settings, **settings},
            text=True,
            capture_output=True,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
        )

    def new_key(self) -> str:
        """Of a new account's test mode."""
        account = self.command(
            "accounts", "create", "--email", f"it{time.monotonic_ns()}@example.com", "--plan", "pro"
        )
        key = self.command("keys", "create", "--account", account.stdout.strip(), "--mode", "test")
        assert key.returncode == 0, key.stderr
        return key.stdout.strip()


@dataclass(frozen=True)
class Desk:
    """One account at the office. Its key is in a file, its people in another."""

    office: Office
    client: CalendarSync
    key: str

    @property
    def people(self) -> Path:
        return self.office.folder / "people.csv"

    @property
    def results(self) -> Path:
        return self.office.folder / "people.results.csv"

    def write(self, header: str, rows: Sequence[str]) -> None:
        self.people.write_text("\n".join((header, *rows)))

    def arguments(self, *more: str) -> list[str]:
        key = self.office.folder / "key"
        key.write_text(f"{self.key}\n")
        return ["onboard", "people.csv", "--url", self.office.url, "--key-file", str(key), *more]

    def onboard(self, *more: str) -> subprocess.CompletedProcess[str]:
        return self.office.command(*self.arguments(*more))

    def outcomes(self) -> list[dict[str, str]]:
        with self.results.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            return list(csv.DictReader(file, delimiter=max(",;", key=first.count)))

    def used(self) -> int:
        """Requests of the account so far; this one is not counted."""
        return self.client.account.get().usage.used - 1


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    port = free_port()
    settings = environment(folder, CALENDARSYNC_ALLOWED_PRIVATE_NETWORKS="127.0.0.0/8")
    command = [sys.executable, "-m", "calendarsync", "serve", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=log, text=True)
        try:
            wait_for(lambda: "Ctrl-C" in (folder / "log").read_text(), "the server")
            yield Office(folder, settings, f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


@pytest.fixture
def desk(office: Office) -> Iterator[Desk]:
    key = office.new_key()
    with CalendarSync(key, base_url=office.url) as client:
        desk = Desk(office, client, key)
        yield desk
    desk.results.unlink(missing_ok=True)


def with_calendars(desk: Desk, count: int) -> None:
    """People with two sandbox calendars each."""
    rows = []
    for number in range(count):
        a, b = (desk.client.sandbox.create_calendar(f"{end}{number}").id for end in "ab")
        rows.append(f"p{number}@example.com;{a};{b}")
    desk.write("email;a_calendar_id;b_calendar_id", rows)


def test_everybody_is_onboarded_once(desk: Desk) -> None:
    with_calendars(desk, 6)
    before = desk.used()
    done = desk.onboard(*SANDBOX)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "6 rows: 6 done, 0 failed.\nResults: people.results.csv\n"
    assert desk.used() - before == 1 + 2 + 12 + 1  # usage, the two lists, the calendars, the pairs together
    outcomes = desk.outcomes()
    assert [row["status"] for row in outcomes] == ["done"] * 6
    assert [int(row["line"]) for row in outcomes] == list(range(2, 8))
    pairs = {pair.id: pair for pair in desk.client.sync_pairs.list()}
    for row in outcomes:
        pair = pairs.pop(row["pair_id"])
        assert (pair.connection_a_id, pair.connection_b_id) == (
            row["connection_a_id"],
            row["connection_b_id"],
        )
        assert desk.client.connections.get(pair.connection_a_id).email == row["email"]
    assert pairs == {}

    for kept in (True, False):
        if not kept:
            desk.results.unlink()
        before = desk.used()
        again = desk.onboard(*SANDBOX)
        assert again.returncode == 0
        assert again.stderr == "6 of 6 rows are done already.\n"
        assert desk.used() - before == 1 + 2
        assert desk.outcomes() == outcomes


def _goes_on_to(process: subprocess.Popen[str], desk: Desk, connections: int) -> bool:
    """Let it work for a moment; it stands still while its connections are counted, or it might be done by then."""
    process.send_signal(signal.SIGCONT)
    time.sleep(0.1)
    process.send_signal(signal.SIGSTOP)
    return len(desk.client.connections.list().all()) > connections


def test_an_interrupt_loses_nothing(desk: Desk) -> None:
    with_calendars(desk, 60)
    process = subprocess.Popen(
        [sys.executable, "-m", "calendarsync", *desk.arguments(*SANDBOX, "--concurrency", "1")],
        cwd=desk.office.folder,
        env=dict(desk.office.settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: _goes_on_to(process, desk, 2), "the second row")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, errors
    assert errors.startswith(
        "Interrupted. What is done stands in people.results.csv. Run the same command again"
    )
    begun = sum(1 for row in desk.outcomes() if row["connection_a_id"])
    assert 0 < begun < 60
    assert desk.onboard(*SANDBOX).returncode == 0
    counts = desk.client.account.get().counts
    assert (counts.connections, counts.pairs) == (120, 60)


def test_caldav_with_and_without_a_result_file(desk: Desk, radicale: RadicaleServer) -> None:
    calendars = [radicale.make_calendar() for _ in range(4)]
    header = "email,a_username,a_password,a_calendar_id,b_username,b_password,b_calendar_id,direction"
    access = (radicale.username, radicale.password)
    rows = [
        ",".join(("ann@example.com", *access, calendars[0], *access, calendars[1], "a_to_b")),
        ",".join(("ben@example.com", *access, calendars[2], access[0], "wrong", calendars[3], "full")),
    ]
    options = [
        part for end in "ab" for part in (f"--{end}-provider", "caldav", f"--{end}-url", radicale.home)
    ]
    desk.write(header, [rows[0], rows[1].replace("full", "b_to_a")])
    first = desk.onboard(*options)
    assert first.returncode == 1, first.stderr
    assert "2 rows: 1 done, 1 failed." in first.stdout
    assert re.search(
        r"line 3, ben@example\.com: validation_error: b_username: .+; b_password: ", first.stdout
    )
    assert "people.csv holds passwords" in first.stderr
    kept = desk.results.read_text()
    for secret in ("wrong", radicale.password):
        assert secret not in kept + first.stdout + first.stderr
    desk.write(header, [rows[0], rows[1].replace("full", "b_to_a").replace("wrong", radicale.password)])
    second = desk.onboard(*options)
    assert (second.returncode, second.stdout.splitlines()[0]) == (0, "2 rows: 2 done, 0 failed.")
    outcomes = desk.outcomes()
    desk.results.unlink()
    assert desk.onboard(*options).returncode == 0
    assert desk.outcomes() == outcomes
    assert desk.client.account.get().counts.connections == 4


def test_calendars_that_the_file_does_not_name(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A user with one calendar needs no calendar_id; a second run finds its connection by looking."""
    with radicale_server(tmp_path_factory.mktemp("dav") / "radicale") as server:
        bob = server.user("bob")
        work = bob.make_calendar()
        home = desk.client.sandbox.create_calendar("home")
        row = f"bob@example.com;{bob.home};{bob.username};{bob.password};{home.id}"
        desk.write("email;a_url;a_username;a_password;b_calendar_id", [row])
        options = ("--a-provider", "caldav", "--b-provider", "sandbox")
        first = desk.onboard(*options)
        assert first.returncode == 0, first.stdout + first.stderr
        (outcome,) = desk.outcomes()
        assert desk.client.connections.get(outcome["connection_a_id"]).calendar_id == work
        desk.client.sync_pairs.delete(outcome["pair_id"])
        desk.results.unlink()
        again = desk.onboard(*options)
        assert again.returncode == 0, again.stdout + again.stderr
        (found,) = desk.outcomes()
        assert found["connection_a_id"] == outcome["connection_a_id"]
        assert found["pair_id"] != outcome["pair_id"]


def test_what_the_account_has_otherwise_is_told(desk: Desk) -> None:
    """Another pair between the same calendars is neither taken for the wanted one nor changed."""
    a, b = (desk.client.sandbox.create_calendar(name) for name in "ab")
    ends = [desk.client.connections.create("sandbox", calendar_id=each.id).id for each in (a, b)]
    there = desk.client.sync_pairs.create(*ends, sync_mode="full", direction="bidirectional")
    desk.write(
        "email,a_calendar_id,b_calendar_id",
        [f"ann@example.com,{a.id},{b.id}", f"ben@example.com,{a.id},sbx_none"],
    )
    done = desk.onboard(*SANDBOX)
    assert done.returncode == 1
    assert f"line 2, ann@example.com: conflict: the pair {there.id}" in done.stdout
    assert "line 3, ben@example.com: validation_error: b_calendar_id: " in done.stdout
    assert [pair.id for pair in desk.client.sync_pairs.list()] == [there.id]


def test_a_key_of_no_use(desk: Desk) -> None:
    desk.write("email,a_calendar_id,b_calendar_id", ["ann@example.com,sbx_1,sbx_2"])
    wrong = Desk(desk.office, desk.client, desk.key[:-1] + ("0" if desk.key[-1] != "0" else "1"))
    done = wrong.onboard(*SANDBOX)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: 401 unauthorized: ")
    assert wrong.key not in done.stderr


class Watching:
    """What a bar would have been told."""

    def __init__(self) -> None:
        self.begun: tuple[int, int, int] | None = None
        self.waits: list[datetime | None] = []
        self.failed: list[bool] = []

    def begin(self, rows: int, done: int, requests: int) -> None:
        self.begun = rows, done, requests

    def advance(self, *, failed: bool) -> None:
        self.failed.append(failed)

    def wait(self, until: datetime | None) -> None:
        self.waits.append(until)


@pytest.fixture
def script() -> Iterator[Scripted]:
    with scripted() as server:
        yield server


def work_off(script: Scripted, folder: Path, *rows: str) -> tuple[Watching, Results]:
    file = folder / "people.csv"
    file.write_text("\n".join(("email,a_provider,a_url,b_provider,b_calendar_id", *rows)))
    people = read_people(file, {"sync_mode": "blocker", "direction": "a_to_b"})
    results, watching = Results(folder / "results.csv", people), Watching()

    async def run() -> None:
        async with AsyncCalendarSync(
            "cs_test_x", base_url=script.url, longest_wait=0, max_retries=0
        ) as client:
            await Onboarding(client, people.rows, results, watching).run(1)

    asyncio.run(run())
    return watching, results


NONE = [Reply(200, {"connections": [], "has_more": False}), Reply(200, {"pairs": [], "has_more": False})]
ROW = "ann@example.com,ics,https://x.example.com/secret.ics,sandbox,sbx_1"


def connection(provider: str, number: int, **values: object) -> dict[str, object]:
    return {
        "id": f"conn_{number}",
        "provider": provider,
        "email": "Ann@example.com",
        "calendar_name": "",
        "status": "active",
        "last_synced_at": None,
        "calendar_id": "x.example.com" if provider == "ics" else f"sbx_{number}",
        "read_only": False,
        "mode": "test",
        "created_at": "2026-03-28T10:00:00Z",
        "last_error": None,
    } | values


def test_a_rate_limit_is_waited_out(script: Scripted, tmp_path: Path) -> None:
    script.will(*NONE, error(429, "rate_limited", **{"Retry-After": "1"}))
    script.will(error(422, "validation_error", "url: no feed"))
    watching, results = work_off(script, tmp_path, ROW)
    assert watching.begun == (1, 0, 3)
    assert watching.waits[0] is not None
    assert watching.waits[1:] == [None]
    assert watching.failed == [True]
    (outcome,) = results.outcomes.values()
    assert (outcome.status, outcome.error_message) == ("failed", "a: url: no feed")


def test_people_who_share_a_calendar_share_its_request(script: Scripted, tmp_path: Path) -> None:
    script.will(*NONE, error(422, "validation_error", "url: no feed"))
    watching, results = work_off(script, tmp_path, ROW, ROW.replace("ann", "ben").replace("sbx_1", "sbx_2"))
    assert watching.begun == (2, 0, 4)
    assert len(script.asked) == 3
    assert [each.status for each in results.outcomes.values()] == ["failed", "failed"]


def test_a_feed_is_found_again_by_its_host_and_owner(script: Scripted, tmp_path: Path) -> None:
    feed, other = connection("ics", 7), connection("ics", 8, email="ben@example.com")
    script.will(Reply(200, {"connections": [other, feed], "has_more": False}), NONE[1])
    script.will(error(409, "conflict"), error(422, "validation_error", "no"))
    _, results = work_off(script, tmp_path, ROW)
    (outcome,) = results.outcomes.values()
    assert outcome.connections == ("conn_7", "")
    several = [Reply(200, {"connections": [feed, connection("ics", 9)], "has_more": False}), NONE[1]]
    script.replies.clear()
    script.will(*several, error(409, "conflict", "this calendar is connected already"), *several)
    _, results = work_off(script, tmp_path, ROW.replace("ann", "Ann"))
    (outcome,) = results.outcomes.values()
    assert (outcome.status, outcome.error_code) == ("failed", "conflict")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(error(401, "unauthorized"), AuthenticationError), (Reply(cut=True), ConnectionFailed)],
)
def test_it_ends_where_it_is_of_no_use_to_go_on(
    script: Scripted, tmp_path: Path, reply: Reply, kind: type[Exception]
) -> None:
    script.will(*NONE, reply)
    with pytest.raises(kind):
        work_off(script, tmp_path, ROW, ROW.replace("ann", "ben"))
    assert len(script.asked) == 3


def test_people_of_an_organisation_are_connected_by_their_address(script: Scripted, tmp_path: Path) -> None:
    """The second one's main calendar is connected already, and found again."""
    known = connection("google", 7, email="ben@example.com", calendar_id="ben@example.com")
    script.will(Reply(200, {"connections": [known], "has_more": False}), NONE[1])
    script.will(Reply(201, connection("google", 1)), error(422, "validation_error", "no"))
    found = [
        {"id": each, "name": "", "read_only": False, "timezone": None} for each in (known["calendar_id"], "x")
    ]
    script.will(Reply(200, {"calendars": found}), error(422, "validation_error", "no"))
    row = "ann@example.com,google,,sandbox,sbx_1"
    _, results = work_off(script, tmp_path, row, row.replace("ann", "ben"))
    assert [each.connection_a_id for each in results.outcomes.values()] == ["conn_1", "conn_7"]
    assert json.loads(script.asked[2].body) == {"provider": "google", "delegated_user": "ann@example.com"}
    assert json.loads(script.asked[4].body) == {"provider": "google", "delegated_user": "ben@example.com"}
