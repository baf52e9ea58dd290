"""`calendarsync accounts …`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from calendarsync.cli.common import fail, show, with_database
from calendarsync.settings import Settings
from calendarsync.store.database import Database

app = typer.Typer(help="Make and list accounts.", no_args_is_help=True)


class Plan(StrEnum):
    FREE = "free"
    PRO = "pro"


@app.command()
def create(
    email: Annotated[str, typer.Option(help="E-mail address of the account's owner.")],
    plan: Annotated[
        Plan | None, typer.Option(help="Plan from now on. Without it: a trial of pro, then free.")
    ] = None,
) -> None:
    """Make an account and print its id, alone on standard output."""
    from calendarsync.accounts.accounts import create_account

    async def work(database: Database, settings: Settings) -> str:
        return await create_account(database, email, now=datetime.now(UTC), plan=plan)

    try:
        account_id = with_database(work)
    except ValueError as error:
        fail(error)
    typer.echo(account_id)


@app.command("list")
def list_accounts(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List all accounts, the oldest first."""
    from calendarsync.store.accounts import list_accounts as all_accounts

    async def work(database: Database, settings: Settings) -> Sequence[Mapping[str, object]]:
        async with database.read() as connection:
            return [dict(row) for row in await all_accounts(connection)]

    columns = "id", "email", "plan", "created_at"
    nothing = "There is no account yet: calendarsync accounts create"
    show(with_database(work), columns, as_json=as_json, nothing=nothing)
