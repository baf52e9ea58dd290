"""`calendarsync maintenance`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from calendarsync.cli.common import show, with_database
from calendarsync.settings import Settings
from calendarsync.store.database import Database


def maintenance(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Delete nothing; count what would be deleted.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Delete what is kept no longer, until nothing is left of it. The schedule does the same, once a minute.

    Others may work meanwhile. Interrupted, it goes on where it stood when it is run again.
    """

    async def work(database: Database, _: Settings) -> list[dict[str, object]]:
        from calendarsync.jobs.tidy import ALL_CHORES, Tidy

        tidy, done = Tidy(database), list[dict[str, object]]()
        for chore in ALL_CHORES:
            began = time.monotonic()
            rows = await (chore.count(database) if dry_run else tidy.do(chore))
            done.append({"what": chore.what, "rows": rows, "seconds": round(time.monotonic() - began, 1)})
        return done

    show(with_database(work), ("what", "rows", "seconds"), as_json=as_json, nothing="")
