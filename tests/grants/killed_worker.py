"""A process that refreshes a grant, to be killed: python -m tests.grants.killed_worker URL SERVER GRANT."""

from __future__ import annotations

import asyncio
import sys
from ipaddress import ip_network

from calendarsync.grants import Grants
from calendarsync.net import HttpClient
from calendarsync.secrets import Keyring
from calendarsync.store.database import Database
from tests.grants.conftest import SECRET, settings_for


async def main(database_url: str, server_url: str, grant_id: str) -> None:
    db = Database(database_url)
    async with HttpClient(allowed_private_networks=[ip_network("127.0.0.0/8")]) as http:
        grants = Grants(db, Keyring([SECRET.encode()]), http, settings_for(server_url, database_url))
        await grants.tokens(grant_id).access_token()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
