"""`accounts` and `keys`: passwords that stay out of the process list, plans, and the life of a key."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from calendarsync.accounts.accounts import find_account_id
from calendarsync.accounts.installation import open_installation
from calendarsync.accounts.passwords import Passwords
from calendarsync.accounts.people import list_members
from calendarsync.accounts.sessions import SignInError, sign_in
from calendarsync.cli.app import app
from calendarsync.settings import Settings
from calendarsync.store.database import Database
from tests.cli.test_commands import own_settings, run

__all__ = ["own_settings"]

EMAIL, PASSWORD = "you@example.com", "correct horse battery"


def signs_in(password: str = PASSWORD) -> bool:
    async def attempt() -> bool:
        settings = Settings.load()
        database = Database(settings.database_url)
        try:
            keyring = await open_installation(settings, database)
            now = datetime.now(UTC)
            await sign_in(database, keyring, Passwords(), EMAIL, password, client="192.0.2.1", now=now)
        except SignInError:
            return False
        finally:
            await database.close()
        return True

    return asyncio.run(attempt())


def members() -> list[tuple[str, str]]:
    async def read() -> list[tuple[str, str]]:
        database = Database(Settings.load().database_url)
        account_id = await find_account_id(database, EMAIL)
        rows = await list_members(database, account_id or "")
        await database.close()
        return [(row["email"], row["role"]) for row in rows]

    return asyncio.run(read())


def accounts() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(run("accounts", "list", "--json").stdout)
    return listed


def keys() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(run("keys", "list", "--account", EMAIL, "--json").stdout)
    return listed


def make_key(*options: str) -> str:
    if not Path("data").exists():
        run("accounts", "create", "--email", EMAIL)
    return run("keys", "create", "--account", EMAIL, *options).stdout.strip()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


def test_an_account_with_a_password_from_a_file(file: Path) -> None:
    made = run("accounts", "create", "--email", EMAIL, "--password-file", str(file))
    assert made.stdout.startswith("acct_")
    assert made.stdout.count("\n") == 1
    assert members() == [(EMAIL, "owner")]
    assert signs_in()
    assert not signs_in("another one")


def test_an_account_with_a_password_from_standard_input() -> None:
    command = ["accounts", "create", "--email", EMAIL, "--password-file", "-"]
    assert CliRunner().invoke(app, command, input=f"{PASSWORD}\n").exit_code == 0
    assert signs_in()


def test_an_account_with_a_password_that_is_asked_for() -> None:
    command = ["accounts", "create", "--email", EMAIL, "--ask-password"]
    made = CliRunner().invoke(app, command, input=f"{PASSWORD}\n{PASSWORD}\n")
    assert made.exit_code == 0
    assert made.stdout.split() == [accounts()[0]["id"]]  # the stand-in for a terminal moves to the next line
    assert PASSWORD not in made.output
    assert signs_in()


@pytest.mark.parametrize("command", [("create",), ("set-password",)])
def test_a_password_that_may_not_be_one_changes_nothing(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("short")
    wrong = run("accounts", *command, "--email", EMAIL, "--password-file", str(file), status=1)
    assert wrong.stderr == "Error: a password needs at least 15 characters\n"
    assert accounts() == []


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, words in (("nothere", "cannot be read"), ("binary", "UTF-8")):
        wrong = run(
            "accounts", "set-password", "--email", EMAIL, "--password-file", str(tmp_path / name), status=1
        )
        assert words in wrong.stderr


@pytest.mark.parametrize("option", ["--password", "--passwd"])
def test_no_argument_takes_a_password(option: str) -> None:
    for command in ("create", "set-password"):
        assert (
            "No such option" in run("accounts", command, "--email", EMAIL, option, PASSWORD, status=2).stderr
        )


def test_a_password_is_set(file: Path) -> None:
    run("accounts", "create", "--email", EMAIL)
    assert not signs_in()
    changed = run("accounts", "set-password", "--email", EMAIL.upper(), "--password-file", str(file))
    assert (changed.stdout, changed.stderr) == ("", "")
    assert signs_in()
    wrong = run(
        "accounts", "set-password", "--email", "x@example.com", "--password-file", str(file), status=1
    )
    assert "x@example.com" in wrong.stderr


def test_a_plan_is_changed_and_ends_the_trial() -> None:
    run("accounts", "create", "--email", EMAIL)
    (before,) = accounts()
    assert (before["plan"], before["plan_in_effect"]) == ("free", "pro")
    for plan in ("free", "pro"):
        run("accounts", "set-plan", "--account", EMAIL, "--plan", plan)
        (after,) = accounts()
        assert (after["plan"], after["plan_in_effect"], after["trial_ends_at"]) == (plan, plan, None)
    assert "gold" in run("accounts", "set-plan", "--account", EMAIL, "--plan", "gold", status=2).stderr
    assert "nobody" in run("accounts", "set-plan", "--account", "nobody", "--plan", "pro", status=1).stderr
    assert "gold" in run("accounts", "create", "--email", "x@example.com", "--plan", "gold", status=2).stderr


def test_a_key_has_a_name_and_an_end() -> None:
    make_key("--name", "reporting", "--expires-in-days", "30")
    (key,) = keys()
    assert (key["name"], key["status"]) == ("reporting", "active")
    lasts = datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])
    assert lasts == timedelta(days=30)
    for name in ("x" * 101, "", "  ", "two\nlines", "\x1b[31mred", "\udcff"):
        assert "1 to 100" in run("keys", "create", "--account", EMAIL, "--name", name, status=1).stderr
    for days in ("0", "-1", "36501"):
        run("keys", "create", "--account", EMAIL, "--expires-in-days", days, status=2)
    assert len(keys()) == 1


@pytest.mark.parametrize("by", ["id", "key"])
def test_a_key_is_rotated(by: str) -> None:
    old = make_key("--name", "reporting", "--scopes", "logs:read", "--mode", "test")
    (before,) = keys()
    named = old if by == "key" else before["id"]
    rotated = run("keys", "rotate", named, "--overlap-hours", "2").stdout
    assert rotated.startswith("cs_test_")
    assert rotated.count("\n") == 1
    ended, new = keys()
    assert new["display"].endswith(rotated.strip()[-4:])
    assert (new["name"], new["scopes"], new["mode"]) == ("reporting", ["logs:read"], "test")
    assert ended["replaced_by"] == new["id"]
    left = datetime.fromisoformat(ended["expires_at"]).timestamp() - time.time()
    assert 0 < left <= 7200
    again = run("keys", "rotate", named, status=1)
    assert again.stdout == ""
    assert "rotated already" in again.stderr
    run("keys", "rotate", new["id"], "--overlap-hours", "169", status=2)
    run("keys", "rotate", new["id"], "--overlap-hours", "0")
    assert [key["status"] for key in keys()] == ["active", "revoked", "active"]


@pytest.mark.parametrize("by", ["id", "key"])
def test_a_key_is_revoked(by: str) -> None:
    key = make_key()
    named = key if by == "key" else keys()[0]["id"]
    for _ in range(2):
        revoked = run("keys", "revoke", named)
        assert keys()[0]["id"] in revoked.stderr
        assert key not in revoked.output
    assert keys()[0]["status"] == "revoked"
    assert "revoked" in run("keys", "list", "--account", EMAIL).stdout


def test_a_key_that_there_is_not() -> None:
    make_key()
    for named in ("key_x", "cs_live_" + "x" * 38, ""):
        for command in ("revoke", "rotate"):
            assert "no such key" in run("keys", command, named, status=1).stderr
    assert keys()[0]["status"] == "active"
