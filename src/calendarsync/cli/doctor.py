"""`calendarsync doctor`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from calendarsync.cli.common import FAILED, load_settings, readable_failures
from calendarsync.settings import Settings

if TYPE_CHECKING:
    from calendarsync.cli.checkup import Finding


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Check settings, database, clock, registrations and grants, and print the addresses to register.

    The exit status is 1 where something has to be put right.
    """
    from calendarsync.cli.checkup import State

    settings = load_settings()
    with readable_failures():
        findings = asyncio.run(_examine(settings))
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in findings], indent=2))
    else:
        # No table: an address that is to be copied must not be broken.
        width = max(len(each.about) for each in findings)
        for each in findings:
            typer.echo(f"{each.state:<8} {each.about:<{width}}  {each.message}")
    if any(each.state is State.ERROR for each in findings):
        raise typer.Exit(FAILED)


async def _examine(settings: Settings) -> list[Finding]:
    from calendarsync.cli.checkup import examine
    from calendarsync.net import HttpClient

    async with HttpClient(allowed_private_networks=settings.allowed_private_networks) as http:
        return await examine(settings, http, lambda: datetime.now(UTC))
