"""What is sent again, and what never is."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
import trustme

from calendarsync.client import (
    APIError,
    ConnectionFailed,
    RateLimited,
    ServerError,
    TimedOut,
)
from calendarsync.client.retries import backoff, retry_after
from tests.client.flavours import Perform, asynchronous, blocking
from tests.client.scripted import Reply, Scripted, error, scripted
from tests.testbed.process import free_port

PAIR = "/api/v1/sync-pairs/pair_1"
STARTED = Reply(202, {"sync_id": "sync_run_1"})
EMPTY = Reply(200, {"pairs": [], "has_more": False})


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_post_goes_on_under_one_key(
    perform: Perform, script: Scripted, waits: list[int], status: int
) -> None:
    script.will(error(status, "passing"), Reply(cut=True), STARTED)
    assert perform(lambda client: client.sync_pairs.start("pair_1")).sync_id == "sync_run_1"
    assert waits == [0, 1]
    keys = {each.headers["idempotency-key"] for each in script.asked}
    assert len(script.asked) == 3
    assert len(keys) == 1
    script.will(STARTED)
    perform(lambda client: client.sync_pairs.start("pair_1"))
    assert script.asked[-1].headers["idempotency-key"] not in keys


@pytest.mark.parametrize("trouble", [error(500, "server_error"), error(503, "unavailable"), Reply(cut=True)])
@pytest.mark.parametrize("method", ["delete", "update"])
def test_what_may_have_been_done_is_not_done_again(
    perform: Perform, script: Scripted, waits: list[int], trouble: Reply, method: str
) -> None:
    script.will(trouble)
    with pytest.raises((ServerError, ConnectionFailed)):
        perform(lambda client: getattr(client.sync_pairs, method)("pair_1"))
    assert (len(script.asked), waits) == (1, [])


def test_an_attempt_that_is_still_being_answered_is_waited_for(
    perform: Perform, script: Scripted, waits: list[int]
) -> None:
    script.will(Reply(cut=True), error(409, "conflict", **{"Retry-After": "1"}), STARTED)
    assert perform(lambda client: client.sync_pairs.start("pair_1")).sync_id == "sync_run_1"
    assert waits == [0, 1]


@pytest.mark.usefixtures("waits")
def test_what_was_not_begun_is_done_again(perform: Perform, script: Scripted) -> None:
    script.will(error(429, "rate_limited"), Reply(204))
    assert perform(lambda client: client.sync_pairs.delete("pair_1")) is None
    assert [each.method for each in script.asked] == ["DELETE", "DELETE"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 501])
def test_a_refusal_is_final(perform: Perform, script: Scripted, waits: list[int], status: int) -> None:
    script.will(error(status, "refused"))
    with pytest.raises(APIError):
        perform(lambda client: client.sync_pairs.list().all())
    assert (len(script.asked), waits) == (1, [])


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_it_gives_up(perform: Perform, script: Scripted, waits: list[int], retries: int) -> None:
    script.will(*(error(502, "bad") for _ in range(9)))
    with pytest.raises(ServerError) as caught:
        perform(lambda client: client.sync_pairs.list().all(), max_retries=retries)
    assert caught.value.status == 502
    assert len(script.asked) == retries + 1
    assert waits == list(range(retries))


def test_retry_after_is_followed(perform: Perform, script: Scripted, waits: list[int]) -> None:
    script.will(error(429, "rate_limited", **{"Retry-After": "1"}), EMPTY)
    started = time.monotonic()
    assert perform(lambda client: client.sync_pairs.list().all()) == []
    assert time.monotonic() - started >= 1
    assert waits == [0]


def test_a_long_wait_is_left_to_the_caller(perform: Perform, script: Scripted) -> None:
    script.will(error(429, "rate_limited", **{"Retry-After": "61"}))
    with pytest.raises(RateLimited) as caught:
        perform(lambda client: client.sync_pairs.list().all())
    assert caught.value.retry_after == 61
    assert len(script.asked) == 1


def test_an_answer_that_is_late(perform: Perform, script: Scripted, waits: list[int]) -> None:
    script.will(Reply(late=1), Reply(late=1))
    with pytest.raises(TimedOut):
        perform(lambda client: client.sync_pairs.list().all(), timeout=0.2, max_retries=1)
    assert waits == [0]


def test_nobody_listens(perform: Perform, waits: list[int]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionFailed):
        perform(lambda client: client.sync_pairs.delete("pair_1"), base_url=url)
    assert waits == [0, 1, 2]  # nothing was sent, so nothing can have been done


def test_the_pauses_grow_to_an_end() -> None:
    for attempt, seconds in enumerate([0.5, 1, 2, 4, 8, 8, 8]):
        drawn = [backoff(attempt) for _ in range(200)]
        assert seconds / 2 <= min(drawn) < max(drawn) <= seconds
    assert backoff(2_000) <= 8


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_read(text: str, seconds: float | None) -> None:
    response = httpx.Response(429, headers=[(b"Retry-After", text.encode())])
    assert retry_after(response) == seconds


def test_retry_after_may_be_a_date() -> None:
    now = datetime.now(UTC)
    ahead, past = (
        httpx.Response(503, headers={"Retry-After": format_datetime(now + delta, usegmt=True)})
        for delta in (timedelta(minutes=2), timedelta(minutes=-2))
    )
    assert 100 < (retry_after(ahead) or 0) <= 120
    assert retry_after(past) == 0


@pytest.fixture
def _dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_dead_proxy")
def test_no_proxy_leads_to_this_machine(perform: Perform, script: Scripted) -> None:
    script.will(EMPTY)
    assert perform(lambda client: client.sync_pairs.list().all()) == []


def test_a_proxy_leads_elsewhere(perform: Perform, script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", script.url)
    script.will(EMPTY)
    url = "http://calendar.example.com"
    assert perform(lambda client: client.sync_pairs.list().all(), base_url=url) == []
    assert script.asked[0].path == f"{url}/api/v1/sync-pairs"


@pytest.mark.usefixtures("_dead_proxy")
@pytest.mark.parametrize("perform_at", [blocking, asynchronous])
def test_this_machines_certificate_is_known_by_the_environment(
    perform_at: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with scripted(context) as server:
        server.will(EMPTY)
        assert perform_at(lambda client: client.sync_pairs.list().all(), base_url=server.url) == []
