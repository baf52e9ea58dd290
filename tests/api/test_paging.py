"""Lists: whole up to 1,000 items, and a page at a time."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from calendarsync.accounts.keys import Mode
from calendarsync.store.tables import connections
from tests.api.client import Client
from tests.api.routes import check_error
from tests.api.world import World

URL = "/api/v1/connections"


async def read_all(client: Client, limit: int) -> list[list[str]]:
    """The ids of each page."""
    pages: list[list[str]] = []
    more, after = True, ""
    while more:
        answer = await client.get(f"{URL}?limit={limit}{after}")
        assert answer.status == 200, answer.body
        pages.append([each["id"] for each in answer.json["connections"]])
        more, after = answer.json["has_more"], f"&starting_after={pages[-1][-1]}" if pages[-1] else ""
    return pages


async def test_pages_hold_everything_once(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "tick", lambda *_: world.clock[0])  # all made at one time
    made = sorted([await world.connection(name) for name in "abcdefg"])
    await world.connection("test", mode="test")
    await world.connection("a", account_id=await world.other_account())
    for limit, sizes in ((1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (1_000, [7])):
        pages = await read_all(client, limit)
        assert [len(page) for page in pages] == sizes
        assert [each for page in pages for each in page] == made
    answer = await client.get(f"{URL}?starting_after={made[-1]}")
    assert answer.json == {"connections": [], "has_more": False}


async def test_an_item_that_is_not_the_callers_is_no_beginning(world: World, client: Client) -> None:
    await world.connection("a")
    tests = await world.connection("b", mode=Mode.TEST)
    others = await world.connection("a", account_id=await world.other_account())
    for after in ("nothing", tests, others, ""):
        answer = await client.get(f"{URL}?starting_after={after}")
        check_error(answer, 422, "validation_error")
        assert answer.fields == {"starting_after"}


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1.5", ""])
async def test_limits_of_pages(client: Client, limit: str) -> None:
    answer = await client.get(f"{URL}?limit={limit}")
    check_error(answer, 422, "validation_error")
    assert answer.fields == {"limit"}


async def test_without_a_limit_a_thousand_are_the_most(world: World, client: Client) -> None:
    await world.connection("a")
    async with world.db.write() as db:
        first = dict((await db.execute(select(connections))).mappings().one())
        others = [first | {"id": f"conn_{each}", "calendar_key": f"key-{each}"} for each in range(1_000)]
        await db.execute(insert(connections), others)
    pages = await read_all(client, 1_000)
    assert [len(page) for page in pages] == [1_000, 1]
    whole = (await client.get(URL)).json
    assert (len(whole["connections"]), whole["has_more"]) == (1_000, True)
