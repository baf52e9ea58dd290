"""No secret is told: not in an answer, not in the log, and not in the database as it was given."""

from __future__ import annotations

import io
import logging

from calendarsync.observability import REDACTED, get_logger
from tests.api.client import Client
from tests.api.test_connections import access
from tests.api.world import World
from tests.testbed.radicale import RadicaleServer
from tests.testbed.stored import stored

CANARY = "canary-7e1b-password"
URL = "/api/v1/connections"


async def test_passwords_and_keys_stay_inside(
    world: World, client: Client, radicale: RadicaleServer, log: io.StringIO
) -> None:
    calendar = radicale.make_calendar()
    created = await client.post(URL, access(radicale, calendar_id=calendar))
    assert created.status == 201
    url = f"{URL}/{created.json['id']}"
    wrong = [
        access(radicale, password=CANARY),
        access(radicale, password=CANARY, url=f"http://alice:{CANARY}@127.0.0.1/"),
        access(radicale, password=[CANARY]),
        access(radicale, password={"value": CANARY}),
        access(radicale, password=CANARY + "\n"),
        access(radicale, password=CANARY, provider=CANARY),
        access(radicale, password=CANARY, email=CANARY),
        access(radicale, password=CANARY, calendar_id=CANARY),
        access(radicale, password=CANARY * 100),
        access(radicale, password=CANARY, username=7),
        CANARY,
        [CANARY],
        f'{{"password": "{CANARY}", "password": 1}}'.encode(),
        f'{{"password": "{CANARY}"'.encode(),
    ]
    for body in wrong:
        assert (await client.post(URL, body)).status in (400, 422)
        assert (await client.post(f"{URL}/discover", body)).status in (400, 422)
        assert (await client.patch(url, body)).status in (400, 422)
    await client.patch(url, {"password": CANARY})
    await client.get(URL)
    await client.get(url)
    assert len(client.answers) == 3 * len(wrong) + 4
    told = b"".join(answer.body + str(answer.headers).encode() for answer in client.answers)
    kept = await stored(world.db, world.services.settings.database_url)
    assert created.json["id"].encode() in kept
    logged = log.getvalue().encode()
    assert b'"operation": "create_connection"' in logged
    for secret in (CANARY, radicale.password, client.key or ""):
        assert secret.encode() not in told
        assert secret.encode() not in logged
        assert secret.encode() not in kept


def test_what_looks_like_a_secret_is_taken_out_of_the_log(log: io.StringIO) -> None:
    key = "cs_live_0123456789abcdefghijABCDEFGHIJ0123456789"
    get_logger("test").info(
        f"key {key}",
        password=CANARY,
        nested={"access_token": CANARY, "url": f"https://alice:{CANARY}@dav.example.com/"},
        listed=[f"Authorization: Bearer {CANARY}"],
        count=3,
    )
    logging.getLogger("a.library").warning("Basic %s", CANARY)
    text = log.getvalue()
    assert CANARY not in text
    assert key not in text
    assert text.count(REDACTED) == 6
    assert '"count": 3' in text


def test_the_message_of_an_exception_is_not_logged(log: io.StringIO) -> None:
    try:
        int(CANARY)
    except ValueError:
        get_logger("test").exception("failed")
        logging.getLogger("a.library").exception("failed too")
    text = log.getvalue()
    assert text.count('"error": "ValueError"') == 2
    assert CANARY not in text
