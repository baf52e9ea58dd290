"""`calendarsync keys …`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.accounts.keys import DEFAULT_OVERLAP, MAX_LIFETIME, MAX_OVERLAP, Mode
from calendarsync.accounts.scopes import DEFAULT_SCOPES, parse_scopes
from calendarsync.cli.common import fail, find_account, show, with_database
from calendarsync.secrets import Keyring
from calendarsync.settings import Settings
from calendarsync.store.database import Database
from calendarsync.store.tenancy import Tenant

app = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)

Account = Annotated[str, typer.Option(help="E-mail address or id of the account.")]
Key = Annotated[
    str, typer.Argument(help="The key's id, or the key itself, such as one that was found in a log.")
]

_HOUR = timedelta(hours=1)
_MAX_NAME = 100


@app.command()
def create(
    account: Account,
    mode: Annotated[Mode, typer.Option(help="Which objects the key sees.")] = Mode.LIVE,
    scopes: Annotated[
        str | None,
        typer.Option(help="Separated by commas. Default: all but account:admin and connections:delegate."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What it is for, to tell it from others.")] = None,
    expires_in_days: Annotated[
        int | None, typer.Option(min=1, max=MAX_LIFETIME.days, help="Without it, the key does not expire.")
    ] = None,
) -> None:
    """Make an API key and print it, alone on standard output. It is shown this once."""
    from calendarsync.accounts.installation import open_installation
    from calendarsync.accounts.keys import create_key

    try:
        wanted = DEFAULT_SCOPES if scopes is None else parse_scopes(scopes)
    except ValueError as error:
        fail(error)
    if name is not None and not (name.strip() and name.isprintable() and len(name) <= _MAX_NAME):
        fail(f"a name has 1 to {_MAX_NAME} printable characters")

    async def work(database: Database, settings: Settings) -> str:
        account_id = await find_account(database, account)
        keyring = await open_installation(settings, database)
        now = database.now()
        ends = now + timedelta(days=expires_in_days) if expires_in_days else None
        return await create_key(
            database, keyring, account_id, mode, now=now, scopes=wanted, name=name, expires_at=ends
        )

    typer.echo(with_database(work))


@app.command("list")
def list_keys(
    account: Account,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List an account's keys, by what tells them apart: the keys themselves are not kept."""
    from calendarsync.accounts.keys import status_of
    from calendarsync.store.keys import list_keys as keys_of

    async def work(database: Database, settings: Settings) -> Sequence[Mapping[str, object]]:
        account_id = await find_account(database, account)
        async with database.read() as connection:
            rows = await keys_of(connection, account_id)
        return [{**row, "status": status_of(row, database.now())} for row in rows]

    columns = "id", "display", "mode", "status", "name"
    nothing = "This account has no key yet: calendarsync keys create"
    show(with_database(work), columns, as_json=as_json, nothing=nothing)


@app.command()
def rotate(
    key: Key,
    overlap_hours: Annotated[
        int,
        typer.Option(
            min=0, max=MAX_OVERLAP // _HOUR, help="How long the old key lives on; 0 ends it at once."
        ),
    ] = DEFAULT_OVERLAP // _HOUR,
) -> None:
    """Make a key of the same name and scopes and print it, alone on standard output. It is shown this once."""
    from calendarsync.accounts.keys import KeyEndedError, rotate_key

    async def change(
        connection: AsyncConnection, keyring: Keyring, tenant: Tenant, key_id: str, now: datetime
    ) -> str:
        overlap = timedelta(hours=overlap_hours)
        return (await rotate_key(connection, keyring, tenant, key_id, now=now, overlap=overlap)).key

    try:
        typer.echo(_with_key(key, change))
    except KeyEndedError as error:
        fail(error)


@app.command()
def revoke(key: Key) -> None:
    """End a key: it lets nobody in from now on."""
    from calendarsync.accounts.keys import revoke_key

    async def change(
        connection: AsyncConnection, keyring: Keyring, tenant: Tenant, key_id: str, now: datetime
    ) -> str:
        await revoke_key(connection, tenant, key_id, now=now)
        return key_id

    typer.echo(f"Revoked: {_with_key(key, change)}", err=True)


_Change = Callable[[AsyncConnection, Keyring, Tenant, str, datetime], Awaitable[str]]


def _with_key(key_or_id: str, change: _Change) -> str:
    """What `change` answers, in a transaction of the key's tenant."""
    from calendarsync.accounts.installation import open_installation
    from calendarsync.accounts.keys import locate_key

    async def work(database: Database, settings: Settings) -> str:
        keyring = await open_installation(settings, database)
        found = await locate_key(database, keyring, key_or_id)
        if found is None:
            fail("there is no such key")
        tenant, key_id = found
        async with database.write_as(tenant) as connection:
            return await change(connection, keyring, tenant, key_id, database.now())

    return with_database(work)
