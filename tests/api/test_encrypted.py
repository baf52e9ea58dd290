"""What the program encrypts is found again by whoever goes through all tables: `calendarsync secrets rotate`."""

from __future__ import annotations

from sqlalchemy import select

from calendarsync.store import reencryption
from tests.api.client import Client
from tests.api.world import World


async def test_all_that_is_encrypted_is_bound_to_the_key_of_its_row(world: World, client: Client) -> None:
    await world.connection()
    wanted = {"url": "https://hooks.example.com/in"}
    made = await client.post("/api/v1/webhooks", wanted, headers=[("Idempotency-Key", "one")])
    assert (await client.post(f"/api/v1/webhooks/{made.json['id']}/rotate-secret")).status == 200
    found = set()
    async with world.db.read() as db:
        for table in reencryption.encrypted_tables():
            for row in (await db.execute(select(table))).mappings():
                for column in reencryption.encrypted(table):
                    if row[column] is not None:
                        world.services.keyring.decrypt(row[column], row[reencryption.key_of(table)])
                        found.add(str(column))
    assert found == {
        "connections.credentials_encrypted",
        "idempotency.answer_encrypted",
        "webhooks.previous_secret_encrypted",
        "webhooks.secret_encrypted",
        "webhooks.url_encrypted",
    }
