"""`calendarsync serve` as a real process."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.cli.processes import end, environment, read_until, running


def get(url: str) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        return answer.status, answer.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_answers_and_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    settings = environment(tmp_path)
    with running(tmp_path, settings, "serve", "--port", "0") as process:
        said = read_until(process, "Ctrl-C")
        address = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert address is not None, said
        database = tmp_path / "home" / ".local" / "share" / "calendarsync" / "calendarsync.sqlite3"
        assert str(database) in said
        status, body = get(f"{address.group()}/health")
        assert status == 200
        assert json.loads(body)["status"] == "ok"
        assert get(f"{address.group()}/docs")[0] == 200
        code, _, errors = end(process, number)
    assert code == 0, errors
    assert "Traceback" not in errors
    assert database.exists()
    assert not database.with_name(f"{database.name}-wal").exists()


def test_the_schedule_can_be_left_out(tmp_path: Path) -> None:
    with running(tmp_path, environment(tmp_path), "serve", "--port", "0", "--no-worker") as process:
        said = read_until(process, "Ctrl-C")
        assert "--no-worker" in said
        assert end(process, signal.SIGTERM)[0] == 0


def test_a_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(tmp_path, environment(tmp_path), "serve", "--port", str(port)) as process:
            output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output == ""
    assert errors == f"Error: cannot listen on 127.0.0.1, port {port}: Address already in use\n"


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    settings = environment(tmp_path, CALENDARSYNC_DATABASE_URL=f"sqlite:///{tmp_path}/")
    with running(tmp_path, settings, "serve", "--port", "0") as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, "")
    assert errors.startswith("Error: CALENDARSYNC_DATABASE_URL: is a directory")
    assert len(errors.splitlines()) == 1


def test_a_database_made_with_another_secret_is_told(tmp_path: Path) -> None:
    first = environment(tmp_path, CALENDARSYNC_SECRET_KEY="a-secret-of-at-least-thirty-two-bytes")
    with running(tmp_path, first, "serve", "--port", "0") as process:
        read_until(process, "Ctrl-C")
        assert end(process, signal.SIGTERM)[0] == 0
    second = environment(tmp_path, CALENDARSYNC_SECRET_KEY="another-secret-of-thirty-two-bytes")
    with running(tmp_path, second, "serve", "--port", "0") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith("Error: This database was made with another secret.")
    assert "Traceback" not in errors


def test_without_an_account_it_says_how_to_make_one(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    with running(tmp_path, settings, "serve", "--port", "0", "--no-worker") as process:
        assert "calendarsync accounts create" in read_until(process, "Ctrl-C")
    make = [sys.executable, "-m", "calendarsync", "accounts", "create", "--email", "you@example.com"]
    subprocess.run(make, cwd=tmp_path, env=settings, check=True, capture_output=True)
    with running(tmp_path, settings, "serve", "--port", "0", "--no-worker") as process:
        assert "accounts create" not in read_until(process, "Ctrl-C")


def test_the_first_account_comes_from_the_settings_once(tmp_path: Path) -> None:
    """Two processes start together on a database that is not there yet, and one starts later."""
    (tmp_path / "password").write_text("canary password\n")
    owner = {"CALENDARSYNC_ADMIN_EMAIL": "admin@example.com"}
    settings = environment(tmp_path, CALENDARSYNC_ADMIN_PASSWORD_FILE=str(tmp_path / "password"), **owner)
    command = ("serve", "--port", "0", "--no-worker")
    with running(tmp_path, settings, *command) as one, running(tmp_path, settings, *command) as other:
        said = [read_until(process, "Ctrl-C") for process in (one, other)]
    made = re.findall(
        r"^The first account was made: (acct_\w+), admin@example\.com$", "".join(said), re.MULTILINE
    )
    assert len(made) == 1
    with running(tmp_path, settings, *command) as later:
        said.append(read_until(later, "Ctrl-C"))
    assert "The first account" not in said[-1]
    assert "canary" not in "".join(said)
    listing = [sys.executable, "-m", "calendarsync", "accounts", "list", "--json"]
    listed = json.loads(subprocess.check_output(listing, cwd=tmp_path, env=settings))
    assert [each["id"] for each in listed] == made


def test_a_first_account_that_cannot_be_is_told(tmp_path: Path) -> None:
    for given, words in (
        ({"ADMIN_EMAIL": "admin@example.com", "ADMIN_PASSWORD": "canary"}, "at least 15 characters"),
        ({"ADMIN_EMAIL": "canary"}, "an e-mail address"),
        ({"ADMIN_PASSWORD": "canary password"}, "needs CALENDARSYNC_ADMIN_EMAIL"),
    ):
        settings = environment(tmp_path, **{f"CALENDARSYNC_{name}": value for name, value in given.items()})
        with running(tmp_path, settings, "serve", "--port", "0", "--no-worker") as process:
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 2
        assert len(errors.splitlines()) == 1
        assert errors.startswith("Error: CALENDARSYNC_ADMIN_")
        assert words in errors
        assert "canary" not in errors
