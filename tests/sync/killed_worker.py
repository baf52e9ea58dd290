"""Runs one pair of an existing installation, to be killed meanwhile: python -m tests.sync.killed_worker ..."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.testbed.installation import installation


async def main(folder: str, secret: str, pair_id: str) -> None:
    async with installation(Path(folder), secret=secret.encode()) as app:
        sys.stdout.write("running\n")
        sys.stdout.flush()
        await app.run(pair_id)
        sys.stdout.write("done\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
