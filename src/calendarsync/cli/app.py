"""The tree of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from calendarsync import __version__
from calendarsync.cli import (
    accounts,
    demo,
    doctor,
    explain,
    keys,
    maintenance,
    migrate,
    onboard,
    secrets,
    serve,
    webhooks,
    worker,
)

app = typer.Typer(
    help="Keeps several calendars in step: self-hosted, private by design, with a REST API.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables could show a secret.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"calendarsync {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("migrate")(migrate.migrate)
app.command("maintenance")(maintenance.maintenance)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("explain")(explain.explain)
app.command("onboard")(onboard.onboard)
app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.add_typer(secrets.app, name="secrets")
app.add_typer(webhooks.app, name="webhooks")
