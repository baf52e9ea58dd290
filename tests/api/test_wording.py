"""What a wrong field is told: in our words, and nothing of a secret."""

from __future__ import annotations

from typing import Any

import pytest

from calendarsync.accounts.scopes import Scope
from tests.api.client import Client
from tests.api.world import World

CONNECTION = {"provider": "caldav", "url": "https://dav.example.com", "username": "alice", "password": "p"}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("password", "x" * 1001, "must be 1000 or fewer characters long"),
        ("password", "", "must be 1 or more characters long"),
        ("username", "x" * 321, "must be 320 or fewer characters long"),
        ("username", None, "must be a string"),
        ("provider", "outlook", "must be one of 'caldav', 'ics', 'sandbox', 'google', 'microsoft'"),
        ("email", "nobody", "must be an address such as you@example.com"),
        ("email", "you@example.com\u2028x y", "must be an address such as you@example.com"),
    ],
)
async def test_connections(client: Client, field: str, value: object, message: str) -> None:
    answer = await client.post("/api/v1/connections", CONNECTION | {field: value})
    assert answer.status == 422
    assert answer.error["details"] == [{"field": field, "message": message}]
    assert answer.error["message"] == f"{field}: {message}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "off"}, "must be 'active' or 'paused'"),
        ({"options": []}, "must be an object"),
        ({"options": {"past_days": -1}}, "must be at least 0"),
        ({"options": {"past_days": 99_999}}, "must be at most 36500"),
        ({"options": {"past_days": 10**400}}, "must be at most 36500"),
        ({"options": {"past_days": 1.5}}, "must be a whole number"),
        ({"options": {"include_free": 1}}, "must be true or false"),
        ({"options": {"reminders": [1] * 6}}, "must be a list of 5 or fewer"),
        ({"options": {"reminders": 5}}, "must be a list"),
    ],
)
async def test_pairs(world: World, client: Client, changes: dict[str, Any], message: str) -> None:
    answer = await client.patch("/api/v1/sync-pairs/pair_x", changes)
    assert answer.status == 422
    assert [each["message"] for each in answer.error["details"]] == [message]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("page=0", "must be at least 1"),
        ("per_page=101", "must be at most 100"),
        ("page=one", "must be a whole number"),
        ("status=fine", "must be 'success', 'partial' or 'failed'"),
    ],
)
async def test_parameters(client: Client, query: str, message: str) -> None:
    answer = await client.get(f"/api/v1/logs?{query}")
    assert answer.status == 422
    assert [each["message"] for each in answer.error["details"]] == [message]


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "\u00a0\u2003",
        "\u200b\u200d",
        "a\tb",
        "a\x00b",
        "a\x85b",
        "\u202etxet",
        "a\u202ab",
        "\u2066a\u2069",
    ],
)
async def test_a_name_that_cannot_be_read_is_refused(world: World, client: Client, name: str) -> None:
    url = f"/api/v1/connections/{await world.connection('a')}"
    answer = await client.patch(url, {"calendar_name": name})
    assert (answer.status, answer.fields) == (422, {"calendar_name"})
    assert answer.error["details"][0]["message"].startswith("must ")
    assert (await client.get(url)).json["calendar_name"] == "A"


@pytest.mark.parametrize("name", ["Team", " Büro ", "יומן", "👩\u200d💻", "日曆"])
async def test_other_names_stay_as_they_are(world: World, client: Client, name: str) -> None:
    answer = await client.patch(f"/api/v1/connections/{await world.connection('a')}", {"calendar_name": name})
    assert (answer.status, answer.json["calendar_name"]) == (200, name)


async def test_of_many_wrong_fields_a_few_are_told(client: Client) -> None:
    body = {f"field{number}": 1 for number in range(20_000)}
    answer = await client.post("/api/v1/sync-pairs", body)
    assert answer.status == 422
    assert len(answer.error["details"]) == 20
    assert answer.error["message"].endswith("; and 19,984 more")  # 4 that are required are missing
    bulk = await client.post("/api/v1/sync-pairs/bulk", {"pairs": [body, body]})
    assert [each["error"] for each in bulk.json["results"]] == [
        {name: value for name, value in answer.error.items() if name != "request_id"}
    ] * 2
    query = "&".join(f"field{number}=1" for number in range(2_000))
    assert (await client.get(f"/api/v1/logs?{query}")).error["message"].endswith("; and 1,980 more")


async def test_a_list_that_is_too_long_is_not_looked_through(world: World) -> None:
    admin = await world.client(scopes=(Scope.ACCOUNT_ADMIN, Scope.WEBHOOKS_WRITE))
    for url, field in (("/api/v1/api-keys", "scopes"), ("/api/v1/webhooks", "events")):
        answer = await admin.post(url, {"url": "https://example.com/", field: [1] * 1_000})
        assert answer.fields >= {field}
        assert not any(each.startswith(f"{field}.") for each in answer.fields)
