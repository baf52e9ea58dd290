"""The model of Google Calendar: batches, notices, and faults on command."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.testbed.google import Account, Model, running
from tests.testbed.google_calling import Caller, got, meeting, refusal

PATH = "/calendar/v3/calendars/primary/events"


@pytest.fixture
def ann(google_model: Model) -> Caller:
    return Caller(google_model)


def batch(model: Model, account: Account, *parts: str, **headers: str) -> httpx.Response:
    """Each part is a whole request with CRLF; the Content-IDs are `<item0>`, …"""
    chunks = [
        f"--b\r\nContent-Type: application/http\r\nContent-ID: <item{number}>\r\n\r\n{part}\r\n"
        for number, part in enumerate(parts)
    ]
    return httpx.post(
        f"{model.url}/batch/calendar/v3",
        content="".join(chunks) + "--b--\r\n",
        headers={
            "Content-Type": "multipart/mixed; boundary=b",
            "Authorization": f"Bearer {account.token}",
            **headers,
        },
        trust_env=False,
        verify=False,
        timeout=30,
    )


def test_each_part_of_a_batch_is_answered_by_itself_and_in_order(ann: Caller) -> None:
    event = ann.insert()["id"]
    answer = batch(
        ann.model,
        ann.account,
        f"GET {PATH}/{event} HTTP/1.1\r\n\r\n",
        f"GET {PATH}/missing0 HTTP/1.1\r\n\r\n",
        f"POST {PATH}?sendUpdates=none HTTP/1.1\r\nContent-Type: application/json\r\n\r\n"
        '{"id":"viabatch","start":{"date":"2026-03-02"},"end":{"date":"2026-03-03"}}',
        f'DELETE {PATH}/{event} HTTP/1.1\r\nIf-Match: "stale"\r\n\r\n',
        f"GET {PATH} HTTP/1.1\r\nAuthorization: Bearer other\r\n\r\n",
    )
    assert answer.status_code == 200
    parts = answer.text.split("--batch_model")[1:-1]
    assert [part.split("HTTP/1.1 ")[1][:3] for part in parts] == ["200", "404", "200", "412", "401"]
    assert [
        "Content-ID: <response-item" + str(number) + ">" in part for number, part in enumerate(parts)
    ] == [True] * 5
    assert ann.get("viabatch")["status"] == "confirmed"
    assert [(each.method, each.part) for each in ann.model.seen][-2:] == [
        ("batch", False),
        ("calendar.events.get", False),
    ]


def test_a_batch_has_fifty_calls_at_most(google_model: Model) -> None:
    ann = Caller(google_model)
    call = f"GET {PATH}/x HTTP/1.1\r\n\r\n"
    assert batch(google_model, ann.account, *[call] * 50).status_code == 200
    assert refusal(batch(google_model, ann.account, *[call] * 51)) == (400, "batchSizeTooLarge")
    assert google_model.violations == ["batch: 51 calls, 50 are allowed"]
    google_model.violations.clear()


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps the headers of every notice; `answers` are the statuses to answer with, then 200."""

    def __init__(self) -> None:
        self.got: list[dict[str, str]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.got.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the standard library
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    def states(self) -> list[str]:
        return [each["x-goog-resource-state"] for each in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def watch(ann: Caller, receiver: Receiver, channel: str, **given: Any) -> dict[str, Any]:
    body = {
        "id": channel,
        "type": "web_hook",
        "address": f"http://127.0.0.1:{receiver.server_port}/hook",
        **given,
    }
    return got(ann.raw("POST", "/watch", json=body))


def eventually(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_channel_tells_first_that_it_is_there_then_of_each_change(ann: Caller, receiver: Receiver) -> None:
    made = watch(ann, receiver, f"c-{ann.account.email[7:17]}", token="secret")
    eventually(lambda: len(receiver.got) == 1)
    ann.insert()
    ann.model.put(ann.account.email, meeting())
    eventually(lambda: len(receiver.got) == 3)
    assert receiver.states() == ["sync", "exists", "exists"]
    assert {each["x-goog-channel-token"] for each in receiver.got} == {"secret"}
    assert {each["x-goog-resource-id"] for each in receiver.got} == {made["resourceId"]}
    assert [each["x-goog-message-number"] for each in receiver.got] == ["1", "2", "3"]
    assert [each["content-length"] for each in receiver.got] == ["0"] * 3
    assert refusal(
        ann.raw("POST", "/watch", json={"id": made["id"], "type": "web_hook", "address": "https://x.example"})
    ) == (
        400,
        "channelIdNotUnique",
    )


def test_a_channel_is_silent_once_it_is_stopped_or_over(ann: Caller, receiver: Receiver) -> None:
    name = ann.account.email[7:17]
    stopped = watch(ann, receiver, f"s-{name}")
    ends = watch(ann, receiver, f"e-{name}", params={"ttl": "60"})
    assert int(ends["expiration"]) < int(stopped["expiration"])
    stop = {"id": stopped["id"], "resourceId": stopped["resourceId"]}
    assert refusal(ann.ask("POST", "/channels/stop", json=stop | {"resourceId": "x"})) == (404, "notFound")
    assert ann.ask("POST", "/channels/stop", json=stop).status_code == 204
    assert refusal(ann.ask("POST", "/channels/stop", json=stop)) == (404, "notFound")
    ann.insert()
    eventually(lambda: receiver.states().count("exists") == 1)
    ann.model.advance(timedelta(seconds=61))
    ann.insert()
    assert ann.model.channels == []
    assert receiver.states().count("exists") == 1


def test_notices_are_repeated_to_who_is_busy_and_may_be_lost(ann: Caller, receiver: Receiver) -> None:
    receiver.answers = [503, 200]
    watch(ann, receiver, f"b-{ann.account.email[7:17]}")
    eventually(lambda: len(receiver.got) == 2)
    assert [each["x-goog-message-number"] for each in receiver.got] == ["1", "1"]
    ann.model.lose_notices(1)
    ann.insert()
    ann.insert()
    eventually(lambda: len(receiver.got) == 3)
    assert receiver.got[-1]["x-goog-message-number"] == "3"
    eventually(lambda: [each.status for each in ann.model.notices] == [503, 200, 200])


@pytest.mark.parametrize("address", ["http://example.com/hook", "ftp://127.0.0.1/x", ""])
def test_notices_go_to_https_or_to_this_machine(ann: Caller, address: str) -> None:
    body = {"id": "somewhere", "type": "web_hook", "address": address}
    assert refusal(ann.raw("POST", "/watch", json=body)) == (400, "push.webhookUrlNotHttps")


def test_a_fault_before_a_write_leaves_it_undone_and_one_after_it_does_not(ann: Caller) -> None:
    ann.model.fail(503, method="events.insert", retry_after=7)
    refused = ann.raw("POST", json=meeting())
    assert (refusal(refused), refused.headers["Retry-After"]) == ((503, "backendError"), "7")
    assert ann.list() == []
    fault = ann.model.fail(500, method="events.insert", after=True)
    assert refusal(ann.raw("POST", json=meeting())) == (500, "backendError")
    assert (len(ann.list()), fault.met) == (1, 1)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (403, "rateLimitExceeded"),
        (403, "userRateLimitExceeded"),
        (403, "quotaExceeded"),
        (429, "rateLimitExceeded"),
    ],
)
def test_quotas_are_used_up_on_command(ann: Caller, status: int, reason: str) -> None:
    ann.model.fail(status, reason=reason, times=2)
    assert [refusal(ann.raw("GET")) for _ in range(2)] == [(status, reason)] * 2
    assert ann.list() == []


def test_a_quota_counts_the_parts_of_batches(ann: Caller) -> None:
    ann.model.habits.calls_per_minute = 3
    call = f"GET {PATH} HTTP/1.1\r\n\r\n"
    answer = batch(ann.model, ann.account, *[call] * 4)
    assert answer.text.count("HTTP/1.1 200") == 3
    assert refusal(ann.raw("GET")) == (403, "userRateLimitExceeded")
    ann.model.advance(timedelta(seconds=61))
    assert ann.list() == []


def test_a_fault_meets_those_whom_it_is_meant_for(google_model: Model) -> None:
    ann, bob = Caller(google_model), Caller(google_model)
    google_model.fail(500, email=bob.account.email, method="events.*")
    assert ann.list() == []
    assert refusal(bob.raw("GET")) == (500, "backendError")
    google_model.fail(503, method="batch")
    assert batch(google_model, ann.account, f"GET {PATH} HTTP/1.1\r\n\r\n").status_code == 503


def test_answers_may_be_torn_dropped_or_late(ann: Caller) -> None:
    ann.model.fail(method="events.list", torn=40)
    with pytest.raises(httpx.RemoteProtocolError):
        ann.list()
    ann.model.fail(method="events.insert", dropped=True)
    with pytest.raises(httpx.RemoteProtocolError):
        ann.insert()
    assert ann.list() == []
    ann.model.fail(method="events.insert", dropped=True, after=True)
    with pytest.raises(httpx.RemoteProtocolError):
        ann.insert()
    assert len(ann.list()) == 1
    ann.model.fail(delay=0.2)
    began = time.monotonic()
    ann.list()
    assert time.monotonic() - began >= 0.2


def test_models_beside_each_other_share_nothing(google_model: Model) -> None:
    with running() as other:
        assert other.url != google_model.url
        assert Caller(other, other.owner).list() == []
        assert (
            httpx.get(
                f"{other.url}{PATH}",
                headers={"Authorization": f"Bearer {google_model.account().token}"},
                trust_env=False,
            ).status_code
            == 401
        )
