"""`migrate`, `accounts` and `keys`, through the command line's own front door."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from calendarsync import __version__
from calendarsync.accounts.keys import is_well_formed
from calendarsync.cli.app import app


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of its own, and nothing of the environment's settings."""
    for name in [name for name in os.environ if name.startswith("CALENDARSYNC_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALENDARSYNC_DATABASE_URL", f"sqlite:///{tmp_path / 'data' / 'db.sqlite3'}")


def run(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


COMMANDS = (
    (),
    ("serve",),
    ("worker",),
    ("migrate",),
    ("maintenance",),
    ("demo",),
    ("doctor",),
    ("explain",),
    ("accounts",),
    ("accounts", "create"),
    ("accounts", "list"),
    ("accounts", "set-password"),
    ("accounts", "set-plan"),
    ("keys",),
    ("keys", "create"),
    ("keys", "list"),
    ("keys", "rotate"),
    ("keys", "revoke"),
    ("webhooks",),
    ("webhooks", "listen"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_everywhere(command: tuple[str, ...]) -> None:
    assert "Usage:" in run(*command, "--help").stdout


def test_sqlite_has_no_worker_of_its_own() -> None:
    assert "calendarsync serve" in run("worker", status=2).stderr


def test_the_version_is_told() -> None:
    assert run("--version").stdout == f"calendarsync {__version__}\n"


def test_an_account_is_made_and_its_id_stands_alone_on_stdout() -> None:
    made = run("accounts", "create", "--email", "you@example.com")
    assert made.stdout.startswith("acct_")
    assert made.stdout.count("\n") == 1
    assert made.stderr == ""
    (listed,) = json.loads(run("accounts", "list", "--json").stdout)
    assert (listed["id"], listed["email"]) == (made.stdout.strip(), "you@example.com")
    assert listed["trial_ends_at"].endswith("Z")


def test_a_plan_that_is_named_holds_at_once() -> None:
    run("accounts", "create", "--email", "you@example.com", "--plan", "pro")
    (listed,) = json.loads(run("accounts", "list", "--json").stdout)
    assert (listed["plan"], listed["trial_ends_at"]) == ("pro", None)


def test_an_address_that_is_taken_is_an_error_and_changes_nothing() -> None:
    run("accounts", "create", "--email", "you@example.com")
    again = run("accounts", "create", "--email", "You@example.com", status=1)
    assert again.stdout == ""
    assert "there is an account with this e-mail address already" in again.stderr
    assert len(json.loads(run("accounts", "list", "--json").stdout)) == 1


def test_no_address_is_an_error() -> None:
    assert "e-mail address" in run("accounts", "create", "--email", "nobody", status=1).stderr


def test_lists_are_tables_for_people() -> None:
    assert "no account yet" in run("accounts", "list").stdout
    account = run("accounts", "create", "--email", "you@example.com").stdout.strip()
    assert account in run("accounts", "list").stdout
    assert "no key yet" in run("keys", "list", "--account", account).stdout


@pytest.mark.parametrize("by", ["address", "id"])
@pytest.mark.parametrize("mode", ["live", "test"])
def test_a_key_is_made_and_stands_alone_on_stdout(by: str, mode: str) -> None:
    account = run("accounts", "create", "--email", "you@example.com").stdout.strip()
    wanted = account if by == "id" else "you@example.com"
    made = run("keys", "create", "--account", wanted, "--mode", mode).stdout
    assert made.startswith(f"cs_{mode}_")
    assert made.count("\n") == 1
    assert is_well_formed(made.strip())
    listing = run("keys", "list", "--account", wanted, "--json").stdout
    (listed,) = json.loads(listing)
    assert listed["display"].endswith(made.strip()[-4:])
    assert "account:admin" not in listed["scopes"]
    assert made.strip() not in listing
    assert "hash" not in listing
    assert listed["id"] in run("keys", "list", "--account", wanted).stdout


def test_scopes_can_be_named() -> None:
    run("accounts", "create", "--email", "you@example.com")
    run("keys", "create", "--account", "you@example.com", "--scopes", "logs:read,pairs:read")
    (listed,) = json.loads(run("keys", "list", "--account", "you@example.com", "--json").stdout)
    assert sorted(listed["scopes"]) == ["logs:read", "pairs:read"]
    wrong = run("keys", "create", "--account", "you@example.com", "--scopes", "logs:reed", status=1)
    assert "logs:reed" in wrong.stderr


@pytest.mark.parametrize("command", ["create", "list"])
def test_a_key_of_nobody_is_an_error(command: str) -> None:
    wrong = run("keys", command, "--account", "nobody@example.com", status=1)
    assert "nobody@example.com" in wrong.stderr
    assert wrong.stdout == ""


def test_migrate_says_where_the_database_is(tmp_path: Path) -> None:
    assert str(tmp_path / "data" / "db.sqlite3") in run("migrate").stdout
    assert run("migrate").exit_code == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "nonsense"),
        ("ALLOWED_PRIVATE_NETWORKS", "everything"),
        ("POLL_INTERVAL_SECONDS", "often"),
    ],
)
@pytest.mark.parametrize("command", [("migrate",), ("serve", "--port", "0"), ("accounts", "list")])
def test_a_bad_setting_is_one_clear_line(
    name: str, value: str, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CALENDARSYNC_{name}", value)
    wrong = run(*command, status=2)
    assert wrong.stderr.startswith(f"Error: CALENDARSYNC_{name}: ")
    assert wrong.stderr.count("\n") == 1


def test_a_secret_that_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    run("accounts", "create", "--email", "you@example.com")
    run("keys", "create", "--account", "you@example.com")
    monkeypatch.setenv("CALENDARSYNC_SECRET_KEY", "another-secret-of-at-least-32-bytes")
    assert "another secret" in run("keys", "create", "--account", "you@example.com", status=2).stderr


def test_a_database_that_cannot_be_opened_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CALENDARSYNC_DATABASE_URL", f"sqlite:///{tmp_path / 'file' / 'db.sqlite3'}")
    assert "the database cannot be used" in run("migrate", status=2).stderr
    (tmp_path / "text.sqlite3").write_text("no database " * 1000)
    monkeypatch.setenv("CALENDARSYNC_DATABASE_URL", f"sqlite:///{tmp_path / 'text.sqlite3'}")
    assert "the database cannot be used" in run("migrate", status=2).stderr


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "calendarsync", "--version"]
    assert subprocess.check_output(command, text=True) == f"calendarsync {__version__}\n"
