"""`calendarsync serve`."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")
    ] = 8000,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Run the schedule as well.")] = True,
) -> None:
    """Run the API and the schedule in one process. Brings an embedded database up to date by itself."""
    raise typer.Exit(1)
