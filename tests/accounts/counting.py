"""A process that lets requests in: `python -m tests.accounts.counting URL SECRET KEY N`.

It prints how many of N that are made at once were within the limit.
"""

from __future__ import annotations

import asyncio
import sys

from calendarsync.accounts.limits import Gate
from calendarsync.secrets import Keyring
from calendarsync.store.database import Database


async def count(url: str, secret: str, key: str, requests: int) -> int:
    db = Database(url)
    gate = Gate(db, Keyring([secret.encode()]), db.now)
    try:
        admitted = await asyncio.gather(*(gate.enter(key) for _ in range(requests)))
        return sum(each is not None and not each.allowance.exceeded for each in admitted)
    finally:
        await db.close()


if __name__ == "__main__":
    given_url, given_secret, given_key, number = sys.argv[1:]
    print(asyncio.run(count(given_url, given_secret, given_key, int(number))))
