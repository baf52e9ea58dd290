"""The model of Graph: faults on command, limits, rounds of delta as they may come, and subscriptions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic
from typing import Any, Literal

import httpx
import pytest

from tests.testbed.graph_checks.kit import Graph, event, is_error
from tests.testbed.microsoft import Account, Fault, Model


def events(graph: Graph) -> int:
    return len(graph.get(graph.events, _top="100").json()["value"])


# Faults


@pytest.mark.parametrize(("after", "made"), [(False, 0), (True, 1)], ids=["before", "after"])
def test_an_error_before_or_after_the_write_took_effect(
    microsoft_model: Model, graph: Graph, after: bool, made: int
) -> None:
    fault = microsoft_model.faults.order(
        Fault(503, method="POST", path="/events", after=after, retry_after=7)
    )
    refused = graph.post()
    is_error(refused, 503, "ServiceUnavailable")
    assert refused.headers["Retry-After"] == "7"
    assert (events(graph), fault.met) == (made, 1)
    assert graph.post().status_code == 201


def test_a_fault_meets_a_part_of_a_batch(microsoft_model: Model, graph: Graph) -> None:
    microsoft_model.faults.order(Fault(504, path="/mailboxSettings", times=2))
    for _ in range(2):
        parts = [
            {"id": str(n), "method": "GET", "url": url}
            for n, url in enumerate(("/me", "/me/mailboxSettings"))
        ]
        answers = graph.batch(*parts).json()["responses"]
        assert {one["id"]: one["status"] for one in answers} == {"0": 200, "1": 504}
    assert graph.get("/me/mailboxSettings").status_code == 200


def test_a_fault_meets_a_whole_batch_after_its_parts_took_effect(
    microsoft_model: Model, graph: Graph
) -> None:
    microsoft_model.faults.order(Fault(502, path="$batch", after=True))
    part = {"id": "1", "method": "POST", "url": graph.events, "body": event()}
    is_error(graph.batch(part | {"headers": {"Content-Type": "application/json"}}), 502)
    assert events(graph) == 1


def test_a_fault_meets_one_mailbox_alone(microsoft_model: Model, graph: Graph) -> None:
    other = Graph(microsoft_model.url, microsoft_model.account().token)
    microsoft_model.faults.order(Fault(429, code="TooManyRequests", email=other.get("/me").json()["mail"]))
    assert graph.get("/me").status_code == 200
    is_error(other.get("/me"), 429, "TooManyRequests")
    other.close()


def test_an_answer_breaks_off_after_the_write(microsoft_model: Model, graph: Graph) -> None:
    microsoft_model.faults.order(Fault(method="POST", torn=20))
    with pytest.raises(httpx.RemoteProtocolError):
        graph.post()
    assert events(graph) == 1


def test_a_slow_answer(microsoft_model: Model, graph: Graph) -> None:
    microsoft_model.faults.order(Fault(delay=0.3))
    began = monotonic()
    assert graph.get("/me").status_code == 200
    assert monotonic() - began >= 0.3


# Limits


def test_more_than_four_requests_at_a_time_are_too_many(
    microsoft_model: Model, graph: Graph, graph_account: Account
) -> None:
    microsoft_model.faults.order(Fault(delay=2, times=4))
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(graph.get, "/me/calendars") for _ in range(4)]
        _until(lambda: microsoft_model.busy(graph_account) == 4)
        refused = graph.get("/me/calendars")
        is_error(refused, 429, "ApplicationThrottled")
        assert int(refused.headers["Retry-After"]) >= 1
        assert [one.result().status_code for one in waiting] == [200] * 4
    assert (graph.get("/me/calendars").status_code, microsoft_model.peak(graph_account)) == (200, 5)


def test_a_batch_takes_four_places(microsoft_model: Model, graph: Graph, graph_account: Account) -> None:
    microsoft_model.faults.order(Fault(path="/calendars", delay=2))
    parts = [{"id": str(number), "method": "GET", "url": "/me"} for number in range(6)]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(graph.get, "/me/calendars")
        _until(lambda: microsoft_model.busy(graph_account) == 1)
        answers = graph.batch(*parts).json()["responses"]
        waiting.result()
    assert sorted(one["status"] for one in answers) == [200, 200, 200, 429, 429, 429]
    assert {one["status"] for one in graph.batch(*parts).json()["responses"]} == {200}


def test_a_mailbox_has_so_many_requests_in_ten_minutes(microsoft_model: Model, graph: Graph) -> None:
    microsoft_model.habits.requests = 3  # the calendar was the first
    part = {"id": "1", "method": "GET", "url": "/me"}
    answers = graph.batch(part, part | {"id": "2"}, part | {"id": "3"}).json()["responses"]
    assert sorted(one["status"] for one in answers) == [200, 200, 429]
    microsoft_model.pass_time(timedelta(minutes=10))
    assert graph.get("/me").status_code == 200


def test_requests_are_seen_one_by_one(microsoft_model: Model, graph: Graph) -> None:
    microsoft_model.seen.clear()
    graph.batch({"id": "1", "method": "GET", "url": "/me?$select=id"})
    assert [(one.method, one.path, one.query, one.status, one.part) for one in microsoft_model.seen] == [
        ("GET", "/me", {"$select": "id"}, 200, True),
        ("POST", "/$batch", {}, 200, False),
    ]


# Delta


@pytest.mark.parametrize(
    ("style", "status", "code"),
    [
        ("gone", 410, "SyncStateNotFound"),
        ("syncStateNotFound", 400, "syncStateNotFound"),
        ("syncStateInvalid", 400, "syncStateInvalid"),
    ],
)
def test_a_token_that_was_forgotten(
    microsoft_model: Model,
    graph: Graph,
    style: Literal["gone", "syncStateNotFound", "syncStateInvalid"],
    status: int,
    code: str,
) -> None:
    _, link, _ = graph.round()
    microsoft_model.habits.lost_token = style
    microsoft_model.forget_delta_tokens()
    lost = graph.http.get(link)
    is_error(lost, status, code)
    assert lost.headers.get("Location", "").endswith("?$deltatoken=") is (style == "gone")


def test_rows_come_twice(microsoft_model: Model, graph: Graph) -> None:
    microsoft_model.habits.repeats = 2
    made = [graph.make()["id"] for _ in range(3)]
    rows, _, _ = graph.round()
    assert [row["id"] for row in rows] == [*made, *made[:2]]


def test_changes_come_late(microsoft_model: Model, graph: Graph) -> None:
    _, link, _ = graph.round()
    made = graph.make()
    microsoft_model.habits.lag = 1
    rows, link, _ = graph.round(link)
    assert rows == []
    rows, _, _ = graph.round(link)
    assert [row["id"] for row in rows] == [made["id"]]


def test_masters_stay_away_and_a_series_is_on_one_page(microsoft_model: Model, graph: Graph) -> None:
    made = graph.series()
    graph.make()
    microsoft_model.habits.page_limit = 2
    rows, _, pages = graph.round()
    assert (len(rows), pages) == (6, 2)
    microsoft_model.habits.masters = False
    rows, _, _ = graph.round()
    assert made["id"] not in {row["id"] for row in rows}
    assert made["id"] in {row.get("seriesMasterId") for row in rows}


def test_a_deleted_series_is_removed_with_its_instances(graph: Graph) -> None:
    made = graph.series()
    ids = {made["id"], *(one["id"] for one in graph.instances(made["id"]))}
    _, link, _ = graph.round()
    graph.delete(made["id"])
    rows, _, _ = graph.round(link)
    assert {row["id"] for row in rows if "@removed" in row} == ids


def test_an_event_that_never_was_in_the_window_is_removed_too(graph: Graph) -> None:
    far = graph.make(**event("2030-01-01T10:00:00", "2030-01-01T11:00:00"))
    _, link, _ = graph.round()
    graph.patch(far["id"], subject="Other")
    rows, _, _ = graph.round(link)
    assert [(row["id"], row["@removed"]["reason"]) for row in rows] == [(far["id"], "deleted")]


def test_transaction_ids_may_be_missing_from_delta(microsoft_model: Model, graph: Graph) -> None:
    graph.make(transactionId="one")
    assert graph.round()[0][0]["transactionId"] == "one"
    microsoft_model.habits.transaction_in_delta = False
    assert graph.round()[0][0]["transactionId"] is None


def test_a_window_may_be_too_wide(graph: Graph) -> None:
    wide = {"startDateTime": "2020-01-01T00:00:00Z", "endDateTime": "2026-01-01T00:00:00Z"}
    for path in ("calendarView", "calendarView/delta"):
        answer = graph.get(f"/me/calendars/{graph.calendar}/{path}", **wide)
        is_error(answer, 400, "ErrorCalendarViewRangeTooBig")


def _until(reached: Any) -> None:
    end = monotonic() + 30
    while not reached():
        assert monotonic() < end
