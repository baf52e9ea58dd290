"""The commands on PostgreSQL: only `migrate` changes the schema, and failures are one line without the address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from calendarsync.cli.app import app
from calendarsync.cli.common import warn_of_role
from calendarsync.store.database import Database
from tests.testbed.postgresql import PostgresqlServer


@pytest.fixture
def url(postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The settings name a database without a schema."""
    url = postgresql_server.make_database(migrated=False)
    monkeypatch.setenv("CALENDARSYNC_DATABASE_URL", url)
    monkeypatch.setenv("CALENDARSYNC_SECRET_KEY", "secret of more than thirty-two bytes")
    yield url
    postgresql_server.drop_database(url)


@pytest.mark.usefixtures("url")
def test_only_migrate_makes_the_schema() -> None:
    refused = CliRunner().invoke(app, ["accounts", "list"])
    assert refused.exit_code == 2
    assert refused.stderr == (
        "Error: the database's schema is older than this program; run: calendarsync migrate\n"
    )
    for _ in range(2):
        migrated = CliRunner().invoke(app, ["migrate"])
        assert (migrated.exit_code, migrated.stdout) == (0, "The schema is up to date: PostgreSQL\n")
    made = CliRunner().invoke(app, ["accounts", "create", "--email", "a@example.com"])
    assert made.exit_code == 0
    assert made.stdout.startswith("acct_")


@pytest.mark.parametrize("command", [["migrate"], ["accounts", "list"]])
def test_a_server_that_is_not_there(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALENDARSYNC_DATABASE_URL", "postgresql://user:canary@127.0.0.1:1/canary")
    monkeypatch.setenv("CALENDARSYNC_SECRET_KEY", "secret of more than thirty-two bytes")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: the database cannot be used: it cannot be reached")
    assert "canary" not in result.output
    assert "Traceback" not in result.output


async def test_a_role_that_may_do_everything_is_warned_of(
    postgresql_server: PostgresqlServer, postgresql_database: str
) -> None:
    for url in (postgresql_database, postgresql_server.as_administrator(postgresql_database)):
        database = Database(url)
        with capture_logs() as logged:
            await warn_of_role(database)
        await database.close()
        warned = [entry["event"] for entry in logged]
        ordinary = url == postgresql_database
        assert warned == ([] if ordinary else ["row-level security does not hold"])
