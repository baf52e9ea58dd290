"""`calendarsync demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from calendarsync.cli.common import fail


def demo(
    once: Annotated[bool, typer.Option("--once", help="End by itself instead of going on.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the files in place at the end.")] = False,
) -> None:
    """Watch two calendars on a real CalDAV server being kept in step.

    Starts a CalDAV server and CalendarSync in a temporary folder, and does everything through the public API.
    """
    from calendarsync.demo.story import DemoError, tell

    try:
        tell(once=once, keep=keep)
    except DemoError as error:
        fail(error)
