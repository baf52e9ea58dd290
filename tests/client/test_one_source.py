"""Two flavours of one source, models of one document, types that a user's checker sees, and a light import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from calendarsync.client import generate

USER = """
from typing import assert_type

from calendarsync.client import AsyncCalendarSync, AsyncPaged, CalendarSync, Paged, UNCHANGED
from calendarsync.client.models import Connection, Log, SyncPairWithLatency, SyncResult


def blocking(client: CalendarSync) -> None:
    with client as same:
        assert_type(same, CalendarSync)
    assert_type(client.connections.list(), Paged[Connection])
    for connection in client.connections.list():
        assert_type(connection, Connection)
        assert_type(connection.email, str | None)
    assert_type(client.sync_pairs.get("pair_1"), SyncPairWithLatency)
    assert_type(client.sync_pairs.trigger("pair_1").success, bool)
    assert_type(client.logs.list().all(), list[Log])
    client.sync_pairs.update("pair_1", resume_at=None)
    client.sync_pairs.update("pair_1", resume_at=UNCHANGED)


async def waiting(client: AsyncCalendarSync) -> None:
    async with client as same:
        assert_type(same, AsyncCalendarSync)
    assert_type(client.connections.list(), AsyncPaged[Connection])
    async for connection in client.connections.list():
        assert_type(connection, Connection)
    assert_type(await client.sync_pairs.get("pair_1"), SyncPairWithLatency)
    assert_type(await client.sync_pairs.trigger("pair_1"), SyncResult)
    assert_type(await client.logs.list().all(), list[Log])
"""
MISTAKES = {
    'client.sync_pairs.create("a", "b", sync_mode="block", direction="a_to_b")': "arg-type",
    'client.sync_pairs.create("a", "b", sync_mode="full", direction="a_to_b", options={"titel": "x"})': "arg-type",
    'client.connections.get("conn_1").name': "attr-defined",
    'client.connections.get("conn_1").status = "active"': "misc",
    'await client.connections.get("conn_1")': "misc",
}


def checked(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    program.write_text(text)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-incremental",
        "--config-file",
        "",
        str(program),
    ]
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False)


def test_a_users_checker_sees_both_flavours(tmp_path: Path) -> None:
    done = checked(tmp_path, USER)
    assert done.returncode == 0, done.stdout
    head = "from calendarsync.client import CalendarSync\n\nasync def f(client: CalendarSync) -> None:\n"
    done = checked(tmp_path, head + "".join(f"    {line}\n" for line in MISTAKES))
    for number, word in enumerate(MISTAKES.values(), 4):
        assert any(f":{number}: error" in line and word in line for line in done.stdout.splitlines()), (
            done.stdout
        )


def test_the_blocking_flavour_is_what_its_source_says() -> None:
    assert generate.differing() == []


@pytest.mark.parametrize("change", ["change", "add", "remove"])
def test_a_difference_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    source, result = tmp_path / "_async", tmp_path / "_sync"
    source.mkdir()
    (source / "one.py").write_text(
        '"""One."""\n\nimport asyncio\n\n\nasync def f() -> None:\n    await asyncio.sleep(1)\n'
    )
    monkeypatch.setattr(generate, "_SOURCE", source)
    monkeypatch.setattr(generate, "_RESULT", result)
    monkeypatch.setattr(sys, "argv", ["generate"])
    assert generate.main() == 0
    made = (result / "one.py").read_text()
    assert made.endswith('"""One."""\n\nimport time\n\n\ndef f() -> None:\n    time.sleep(1)\n')
    assert generate.differing() == []
    other = result / ("one.py" if change == "change" else "other.py")
    if change == "remove":
        (result / "one.py").unlink()
    else:
        other.write_text(made + "#\n")
    assert len(generate.differing()) == 1
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    assert generate.main() == 1
    monkeypatch.setattr(sys, "argv", ["generate"])
    assert generate.main() == 0
    assert [path.name for path in result.iterdir()] == ["one.py"]


def test_only_the_client_is_imported() -> None:
    program = (
        "import sys, calendarsync.client\n"
        "heavy = {'fastapi', 'starlette', 'sqlalchemy', 'aiohttp', 'uvicorn', 'cryptography', 'typer', 'asyncpg'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
        "print(sorted(name for name in sys.modules if name.startswith('calendarsync.') and "
        "name.split('.')[1] not in ('client', 'webhooks')))"
    )
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True)
    assert done.stdout == "[]\n[]\n"
