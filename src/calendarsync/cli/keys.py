"""`calendarsync keys …`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from calendarsync.accounts.keys import Mode
from calendarsync.accounts.scopes import DEFAULT_SCOPES, parse_scopes
from calendarsync.cli.common import fail, show, with_database
from calendarsync.settings import Settings
from calendarsync.store.database import Database

app = typer.Typer(help="Make and list API keys.", no_args_is_help=True)

Account = Annotated[str, typer.Option(help="E-mail address or id of the account.")]


@app.command()
def create(
    account: Account,
    mode: Annotated[Mode, typer.Option(help="Which objects the key sees.")] = Mode.LIVE,
    scopes: Annotated[
        str | None,
        typer.Option(help="Separated by commas. Default: all but account:admin and connections:delegate."),
    ] = None,
) -> None:
    """Make an API key and print it, alone on standard output. It is shown this once."""
    from calendarsync.accounts.installation import open_installation
    from calendarsync.accounts.keys import create_key

    try:
        wanted = DEFAULT_SCOPES if scopes is None else parse_scopes(scopes)
    except ValueError as error:
        fail(error)

    async def work(database: Database, settings: Settings) -> str:
        account_id = await _find(database, account)
        keyring = await open_installation(settings, database)
        return await create_key(database, keyring, account_id, mode, now=datetime.now(UTC), scopes=wanted)

    typer.echo(with_database(work))


@app.command("list")
def list_keys(
    account: Account,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List an account's keys, by what tells them apart: the keys themselves are not kept."""
    from calendarsync.store.keys import list_keys as keys_of

    async def work(database: Database, settings: Settings) -> Sequence[Mapping[str, object]]:
        account_id = await _find(database, account)
        async with database.read() as connection:
            return [dict(row) for row in await keys_of(connection, account_id)]

    columns = "id", "display", "mode", "created_at"
    nothing = "This account has no key yet: calendarsync keys create"
    show(with_database(work), columns, as_json=as_json, nothing=nothing)


async def _find(database: Database, account: str) -> str:
    from calendarsync.accounts.accounts import find_account_id

    return await find_account_id(database, account) or fail(f"there is no account {account!r}")
