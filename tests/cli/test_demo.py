"""`calendarsync demo` as a person runs it: real processes, an empty home, and nothing left behind."""

from __future__ import annotations

import base64
import json
import re
import shlex
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.cli.processes import end, environment, processes_of, read_until, running, wait_for


def assert_nothing_left(folder: Path) -> None:
    assert processes_of(folder) == []
    assert list((folder / "tmp").iterdir()) == []
    assert list((folder / "home").iterdir()) == []


def request(command: str, key: str = "") -> bytes:
    """Do what a curl line says. The machine of the tests may have no curl."""
    method, headers, url = "GET", {}, ""
    words = iter(shlex.split(command.replace("$KEY", key))[1:])
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-u":
            headers["Authorization"] = f"Basic {base64.b64encode(next(words).encode()).decode()}"
        else:
            url = word
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, method=method, headers=headers), timeout=30) as answer:
        body: bytes = answer.read()
        return body


def test_once_shows_the_whole_and_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path, environment(tmp_path), "demo", "--once") as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert errors == ""
    assert "\x1b" not in output  # no colour in a pipe
    assert "░ 7 of 7, a series" in output
    assert output.count("none: in both") == 2
    assert re.search(r"Its copy in Work followed after \d+\.\d s", output)
    pictures = [line for line in output.splitlines() if "│" in line]
    assert len(pictures) > 40
    assert max(map(len, pictures)) <= 80
    assert_nothing_left(tmp_path)


def test_a_poor_terminal_will_do(tmp_path: Path) -> None:
    poor = {"COLUMNS": "44", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    with running(tmp_path, environment(tmp_path, **poor), "demo", "--once") as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert output.isascii()
    assert max(len(line) for line in output.splitlines() if line.startswith(("09:00", "all day"))) <= 44


@pytest.mark.parametrize(
    ("moment", "number"),
    [("calendarsync serve", signal.SIGINT), ("the runs:", signal.SIGTERM), ("PUT", signal.SIGINT)],
)
def test_an_interrupt_leaves_nothing(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    with running(tmp_path, environment(tmp_path, PYTHONUNBUFFERED="1"), "demo", "--once") as process:
        read_until(process, moment)
        code, _, errors = end(process, number)
    assert code == 130
    assert "Traceback" not in errors
    assert_nothing_left(tmp_path)


def test_it_goes_on_until_ctrl_c_and_can_be_kept(tmp_path: Path) -> None:
    with running(tmp_path, environment(tmp_path, PYTHONUNBUFFERED="1"), "demo", "--keep") as process:
        said = read_until(process, "until you press")
        use_the_curl_lines(said)
        code, more, errors = end(process, signal.SIGINT)
    assert code == 0, errors
    assert processes_of(tmp_path) == []
    (kept,) = (tmp_path / "tmp").iterdir()
    assert str(kept) in more
    start_again(tmp_path, more, said)


def use_the_curl_lines(said: str) -> None:
    key = next(line.removeprefix("export KEY=") for line in said.splitlines() if line.startswith("export"))
    lines = [line for line in said.splitlines() if line.startswith("curl")]
    pairs, trigger, logs, delete = (
        json.loads(request(line, key)) if "api/v1" in line else line for line in lines
    )
    assert isinstance(pairs, dict)
    assert isinstance(trigger, dict)
    assert isinstance(logs, dict)
    assert [pair["status"] for pair in pairs["pairs"]] == ["active"]
    assert trigger["success"] is True
    assert logs["total"] >= 3
    assert isinstance(delete, str)
    request(delete)
    (again,) = (line for line in lines if "trigger" in line)
    deadline = time.monotonic() + 30
    while not any(log["events_deleted"] for log in json.loads(request(lines[2], key))["logs"]):
        assert time.monotonic() < deadline
        request(again, key)


def start_again(folder: Path, more: str, said: str) -> None:
    """The commands that are printed bring the kept servers back."""
    commands = [line.removesuffix(" &") for line in more.splitlines() if " -m " in line]
    assert len(commands) == 2
    found = re.search(r"http://127\.0\.0\.1:\d+(?=/api)", said)
    assert found is not None
    processes = [
        subprocess.Popen(["sh", "-c", f"exec env {command}"], cwd=folder, start_new_session=True, **QUIET)
        for command in commands
    ]
    try:
        wait_for(lambda: answers(f"{found.group()}/health"), "CalendarSync to come back")
    finally:
        for process in processes:
            process.terminate()
            process.wait(30)
    assert processes_of(folder) == []


QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def answers(url: str) -> bool:
    try:
        return bool(request(f"curl {url}"))
    except OSError:
        return False
