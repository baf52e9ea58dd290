"""The model of Graph: subscriptions, and what they hear."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest

from tests.testbed.graph_checks.kit import IMMUTABLE, Graph, Json, event, is_error
from tests.testbed.graph_checks.subscriptions import Listening, listening, subscribe
from tests.testbed.microsoft import Model


@pytest.fixture
def listener() -> Iterator[Listening]:
    with listening() as server:
        yield server


def subscribed(graph: Graph, listener: Listening, **more: Any) -> Json:
    made = subscribe(graph, listener.url, **more)
    assert made.status_code == 201, made.text
    return dict(made.json())


def test_what_comes_at_once_is_one_notification(
    microsoft_model: Model, graph: Graph, listener: Listening
) -> None:
    subscribed(graph, listener)
    body = {
        "method": "POST",
        "url": graph.events,
        "body": event(),
        "headers": {"Content-Type": "application/json"},
    }
    graph.batch(*[{"id": str(number)} | body for number in range(20)])
    listener.wait(20)
    _until(lambda: len(microsoft_model.notices) == 1)
    assert len(listener.notices) == 20


def test_a_subscription_hears_of_what_it_asked_for(graph: Graph, listener: Listening) -> None:
    subscribed(graph, listener, changeType="deleted")
    made = graph.make()
    graph.patch(made["id"], subject="Other")
    graph.delete(made["id"])
    assert [one["changeType"] for one in listener.wait(1)] == ["deleted"]


def test_a_subscription_to_a_mailbox_with_immutable_ids(graph: Graph, listener: Listening) -> None:
    made = subscribe(graph, listener.url, headers=IMMUTABLE, resource="me/events")
    assert made.status_code == 201, made.text
    created = graph.make()
    assert listener.wait(1)[0]["resourceData"]["id"] == graph.read(created["id"], IMMUTABLE)["id"]


def test_lifecycle_notifications(microsoft_model: Model, graph: Graph, listener: Listening) -> None:
    named = subscribed(graph, listener, lifecycleNotificationUrl=f"{listener.url}&lifecycle=1")["id"]
    for number, told in enumerate(("reauthorizationRequired", "missed", "subscriptionRemoved"), 1):
        microsoft_model.lifecycle(named, told)
        notice = listener.wait(number)[-1]
        assert (notice["lifecycleEvent"], notice["clientState"]) == (told, "secret")
        assert "resource" not in notice
    _until(lambda: len(microsoft_model.notices) == 3)
    assert {one.url.endswith("lifecycle=1") for one in microsoft_model.notices} == {True}
    is_error(graph.get(f"/subscriptions/{named}"), 404)


def test_a_subscription_is_reauthorized(graph: Graph, listener: Listening) -> None:
    named = subscribed(graph, listener)["id"]
    assert graph.http.post(f"/subscriptions/{named}/reauthorize").status_code == 204
    is_error(graph.http.post("/subscriptions/nothing/reauthorize"), 404)


def test_a_subscription_ends(microsoft_model: Model, graph: Graph, listener: Listening) -> None:
    named = subscribed(graph, listener)["id"]
    microsoft_model.pass_time(timedelta(hours=2))
    later = {"expirationDateTime": "2099-01-01T00:00:00Z"}
    is_error(graph.http.patch(f"/subscriptions/{named}", json=later), 404)
    graph.make()
    assert listener.notices == []


def test_a_notice_is_lost_or_tried_again(microsoft_model: Model, graph: Graph, listener: Listening) -> None:
    subscribed(graph, listener)
    microsoft_model.drop_notices(1)
    graph.make()
    listener.refuse = 1
    microsoft_model.habits.retries = (0.01,)
    made = graph.make()
    assert [one["resourceData"]["id"] for one in listener.wait(1)] == [made["id"]]
    _until(lambda: [one.status for one in microsoft_model.notices] == [503, 202])


def test_duplicate_subscriptions_may_be_made(
    microsoft_model: Model, graph: Graph, listener: Listening
) -> None:
    microsoft_model.habits.duplicates = "allow"
    assert subscribed(graph, listener)["id"] != subscribed(graph, listener)["id"]


def _until(reached: Any) -> None:
    end = monotonic() + 30
    while not reached():
        assert monotonic() < end
