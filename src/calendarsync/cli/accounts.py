"""`calendarsync accounts …`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from calendarsync.accounts.plans import PLANS, TRIAL, TRIAL_PLAN, plan_in_effect
from calendarsync.cli.common import fail, find_account, show, with_database
from calendarsync.settings import Settings
from calendarsync.store.database import Database

app = typer.Typer(help="Make, change and list accounts.", no_args_is_help=True)


def _plan(name: str) -> str:
    if name not in PLANS:
        raise typer.BadParameter(f"there is no plan {name!r}; there are {' and '.join(PLANS)}")
    return name


_NAMES = "|".join(PLANS)
_TRIAL = f"Plan from now on. Without it: {TRIAL.days} days of {TRIAL_PLAN.name}, then free."

PasswordFile = Annotated[
    Path | None,
    typer.Option(help="Read the password from this file; - is standard input.", allow_dash=True),
]


@app.command()
def create(
    email: Annotated[str, typer.Option(help="E-mail address of the account's owner.")],
    plan: Annotated[str | None, typer.Option(help=_TRIAL, parser=_plan, metavar=_NAMES)] = None,
    password_file: PasswordFile = None,
    ask_password: Annotated[
        bool, typer.Option("--ask-password", help="Ask for the owner's password.")
    ] = False,
) -> None:
    """Make an account and print its id, alone on standard output.

    A password is for signing in; API keys do without.
    """
    from calendarsync.accounts.accounts import create_account
    from calendarsync.accounts.passwords import Passwords

    password = _password(password_file) if password_file or ask_password else None

    async def work(database: Database, settings: Settings) -> str:
        hashed = None if password is None else await Passwords().hash_new(password, email=email)
        now = database.now()
        return await create_account(database, email, now=now, plan=plan, password_hash=hashed)

    try:
        account_id = with_database(work)
    except ValueError as error:
        fail(error)
    typer.echo(account_id)


@app.command("set-password")
def set_password(
    email: Annotated[str, typer.Option(help="E-mail address of the person.")],
    password_file: PasswordFile = None,
) -> None:
    """Give a person another password, and sign them out everywhere. Asks for it unless a file is named."""
    from calendarsync.accounts import people
    from calendarsync.accounts.installation import open_installation
    from calendarsync.accounts.passwords import Passwords

    password = _password(password_file)

    async def work(database: Database, settings: Settings) -> None:
        keyring = await open_installation(settings, database)
        await people.set_password(database, keyring, Passwords(), email, password, now=database.now())

    try:
        with_database(work)
    except LookupError:
        fail(f"there is nobody with the address {email!r}")
    except ValueError as error:
        fail(error)


@app.command("set-plan")
def set_plan(
    account: Annotated[str, typer.Option(help="E-mail address or id of the account.")],
    plan: Annotated[str, typer.Option(help="Plan from now on.", parser=_plan, metavar=_NAMES)],
) -> None:
    """Change an account's plan. It holds at once: a trial ends."""
    from calendarsync.accounts import accounts

    async def work(database: Database, settings: Settings) -> None:
        await accounts.set_plan(database, await find_account(database, account), plan)

    with_database(work)


@app.command("list")
def list_accounts(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List all accounts, the oldest first."""
    from calendarsync.store.accounts import list_accounts as all_accounts

    async def work(database: Database, settings: Settings) -> Sequence[Mapping[str, object]]:
        async with database.read() as connection:
            rows = await all_accounts(connection)
        now = database.now()
        return [
            {
                **{name: row[name] for name in ("id", "email", "plan", "trial_ends_at", "created_at")},
                "plan_in_effect": plan_in_effect(row["plan"], row["trial_ends_at"], now).name,
            }
            for row in rows
        ]

    columns = "id", "email", "plan", "plan_in_effect"
    nothing = "There is no account yet: calendarsync accounts create"
    show(with_database(work), columns, as_json=as_json, nothing=nothing)


def _password(file: Path | None) -> str:
    """From a file, or asked for: as an argument everybody on the machine could read it."""
    if file is None:
        asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except UnicodeDecodeError:
        fail(f"{file}: the file is not text in UTF-8")
    except OSError as error:
        fail(f"{file}: the file cannot be read: {error.strerror}")
    return text.rstrip("\r\n")
