"""What a call gives back, what it raises, and where no key may stand."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from calendarsync.client import (
    UNCHANGED,
    APIError,
    AsyncCalendarSync,
    AuthenticationError,
    CalendarSync,
    CalendarSyncError,
    Conflict,
    Detail,
    NotFound,
    PermissionDenied,
    RateLimit,
    RateLimited,
    ServerError,
    SignatureInvalid,
    TimedOut,
    UnexpectedAnswer,
    ValidationError,
)
from tests.client.flavours import KEY, Perform
from tests.client.scripted import Reply, Scripted, error

PASSWORD = "canary-password"
CONNECTION = {
    "id": "conn_1",
    "provider": "caldav",
    "email": None,
    "calendar_name": "Work",
    "status": "active",
    "last_synced_at": "2026-03-28T10:00:00Z",
    "calendar_id": "https://dav.example.com/work/",
    "read_only": False,
    "mode": "live",
    "created_at": "2026-03-28T09:00:00.250000Z",
    "last_error": None,
}
LOG = {
    "id": "log_1",
    "pair_id": "pair_1",
    "status": "success",
    "events_synced": 12,
    "duration_ms": 843,
    "created_at": "2026-03-28T10:00:00Z",
    "sync_id": "sync_run_1",
    "trigger": "api",
    "events_created": 2,
    "events_updated": 0,
    "events_deleted": 1,
    "events_skipped": 3,
    "provider_requests": 4,
    "undid": None,
    "error": None,
}


def test_results_are_frozen_and_take_what_is_new(perform: Perform, script: Scripted) -> None:
    script.will(Reply(200, {**CONNECTION, "invented_later": [1], "status": "dormant"}))
    connection = perform(lambda client: client.connections.get("conn_1"))
    assert connection.status == "dormant"
    assert connection.created_at == datetime(2026, 3, 28, 9, 0, 0, 250_000, tzinfo=UTC)
    assert not hasattr(connection, "invented_later")
    with pytest.raises(ValueError, match="frozen"):
        connection.status = "active"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, APIError),
        (401, AuthenticationError),
        (403, PermissionDenied),
        (404, NotFound),
        (409, Conflict),
        (412, APIError),
        (422, ValidationError),
        (429, RateLimited),
        (500, ServerError),
        (507, ServerError),
    ],
)
def test_errors_have_types(perform: Perform, script: Scripted, status: int, kind: type[APIError]) -> None:
    content = {
        "code": "some_code",
        "message": "url: no such server",
        "request_id": "req_9",
        "details": [{"field": "url", "message": "no such server"}],
    }
    script.will(Reply(status, {"error": content}))
    with pytest.raises(CalendarSyncError) as caught:
        perform(lambda client: client.connections.get("conn_1"), max_retries=0)
    told = caught.value
    assert type(told) is kind
    assert (told.status, told.code, told.request_id) == (status, "some_code", "req_9")
    assert told.details == (Detail("url", "no such server"),)
    assert str(told) == f"{status} some_code: url: no such server (req_9)"


@pytest.mark.parametrize("body", [b"<h1>Bad gateway</h1>", b"", b"[]", b'{"error": "no"}', b"\xff", b"{"])
def test_errors_of_something_in_between(perform: Perform, script: Scripted, body: bytes) -> None:
    script.will(Reply(502, body, {"X-Request-Id": "req_7"}))
    with pytest.raises(ServerError) as caught:
        perform(lambda client: client.connections.get("conn_1"), max_retries=0)
    assert (caught.value.code, caught.value.request_id) == ("http_502", "req_7")


REFUSAL = {"code": "odd", "message": "no"}
ODD_REFUSALS: list[object] = [
    *({**REFUSAL, "details": each} for each in ("no", 5, ["no"], [{"field": "url"}], [{"message": "no"}])),
    {"code": 5, "message": "no"},
    {"message": None},
    ["no"],
]


@pytest.mark.parametrize("refusal", [*ODD_REFUSALS, b"[" * 200_000])
def test_refusals_of_something_in_between(perform: Perform, script: Scripted, refusal: object) -> None:
    script.will(Reply(422, refusal if isinstance(refusal, bytes) else {"error": refusal}))
    with pytest.raises(ValidationError) as caught:
        perform(lambda client: client.connections.get("conn_1"))
    assert (caught.value.code, caught.value.details) == ("http_422", ())


ODD = [
    b"",
    b"<html>",
    b"[]",
    b"{}",
    b'{"pairs": 3}',
    b'{"pairs": [{"id": "pair_1"}]}',
    b"\xff",
    b"[" * 200_000,
]


@pytest.mark.parametrize("reply", [*(Reply(200, body) for body in ODD), Reply(301, b"", {"Location": "/x"})])
def test_what_is_no_answer_of_ours(perform: Perform, script: Scripted, reply: Reply) -> None:
    for work in (
        lambda client: client.sync_pairs.list().all(),
        lambda client: client.sync_pairs.get("pair_1"),
    ):
        script.will(reply)
        with pytest.raises(UnexpectedAnswer, match="base URL"):
            perform(work)


def test_lists_go_on_to_their_end(perform: Perform, script: Scripted) -> None:
    for ids, more in ((["a", "b"], True), (["c"], True), ([], False)):
        items = [{**CONNECTION, "id": each} for each in ids]
        script.will(Reply(200, {"connections": items, "has_more": more}))
    found = perform(lambda client: client.connections.list(limit=2).all())
    assert [each.id for each in found] == ["a", "b", "c"]
    paths = [each.path.removeprefix("/api/v1/connections") for each in script.asked]
    assert paths == ["?limit=2", "?limit=2&starting_after=b", "?limit=2&starting_after=c"]


def test_a_list_that_begins_again_is_no_answer_of_ours(perform: Perform, script: Scripted) -> None:
    script.will(*(Reply(200, {"connections": [CONNECTION], "has_more": True}) for _ in range(9)))
    with pytest.raises(UnexpectedAnswer):
        perform(lambda client: client.connections.list().all())
    assert len(script.asked) == 2


ENDINGS: list[Callable[[Any], Any]] = [
    lambda client: client.connections.delete("conn_1"),
    lambda client: client.sync_pairs.delete("pair_1"),
    lambda client: client.webhooks.delete("whk_1"),
    lambda client: client.api_keys.revoke("key_1"),
    lambda client: client.sandbox.delete_calendar("sbx_1"),
    lambda client: client.sandbox.delete_event("sbx_1", "1"),
    lambda client: client.sandbox.delete_instance("sbx_1", "1", datetime(2026, 3, 28, tzinfo=UTC)),
    lambda client: client.sandbox.clear_faults("sbx_1"),
]


@pytest.mark.parametrize("work", ENDINGS)
def test_what_is_ended_is_ended_by_our_server(
    perform: Perform, script: Scripted, work: Callable[[Any], Any]
) -> None:
    script.will(Reply(200, b"<h1>Sign in to the network</h1>"))
    with pytest.raises(UnexpectedAnswer, match="base URL"):
        perform(work)
    script.will(Reply(204))
    assert perform(work) is None


def test_logs_go_on_by_their_cursor(perform: Perform, script: Scripted) -> None:
    since = datetime(2026, 3, 28, 11, tzinfo=timezone(timedelta(hours=1)))
    script.will(
        Reply(200, {"logs": [LOG], "total": 2, "page": 1, "next_cursor": "c/2+"}),
        Reply(200, {"logs": [{**LOG, "id": "log_2"}], "total": 2, "page": 1, "next_cursor": None}),
    )
    found = perform(lambda client: client.logs.list(pair_id="pair_1", since=since).all())
    assert [each.id for each in found] == ["log_1", "log_2"]
    wanted = "pair_id=pair_1&since=2026-03-28T10%3A00%3A00Z&per_page=100"
    assert [each.path for each in script.asked] == [
        f"/api/v1/logs?{wanted}",
        f"/api/v1/logs?{wanted}&cursor=c%2F2%2B",
    ]


def test_a_trigger_waits_beyond_the_servers_patience(perform: Perform, script: Scripted) -> None:
    page = {"logs": [LOG], "total": 1, "page": 1, "next_cursor": None}
    script.will(Reply(202, {"sync_id": "sync_run_1"}), Reply(200, page))
    result = perform(lambda client: client.sync_pairs.trigger("pair_1", full=True))
    assert (result.success, result.events_processed, result.events_created) == (True, 12, 2)
    assert json.loads(script.asked[0].body) == {"full": True, "confirm": False, "dry_run": False}
    failed = {**LOG, "status": "failed", "error": {"code": "not_authorized", "message": "no"}}
    script.will(Reply(202, {"sync_id": "sync_run_1"}), Reply(200, {**page, "logs": [failed]}))
    result = perform(lambda client: client.sync_pairs.trigger("pair_1"))
    assert (result.success, result.error.code) == (False, "not_authorized")


def test_what_does_not_end_is_told(perform: Perform, script: Scripted) -> None:
    nothing = Reply(200, {"logs": [], "total": 0, "page": 1, "next_cursor": None})
    script.will(nothing)
    with pytest.raises(TimedOut, match="sync_run_1"):
        perform(lambda client: client.sync_pairs.wait("sync_run_1", wait_seconds=-1))
    script.will(Reply(202, {"sync_id": "sync_run_1"}))
    with pytest.raises(TimedOut, match="dry run"):
        perform(lambda client: client.sync_pairs.trigger("pair_1", dry_run=True))


def test_null_and_nothing_are_not_the_same(perform: Perform, script: Scripted) -> None:
    wanted: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"resume_at": None}, {"resume_at": None}),
        ({"resume_at": UNCHANGED, "status": "active"}, {"status": "active"}),
        ({"options": {"title": None}}, {"options": {"title": None}}),
        ({}, {}),
    ]
    for given, sent in wanted:
        script.will(error(404, "not_found"))
        with pytest.raises(NotFound):
            perform(lambda client, given=given: client.sync_pairs.update("pair_1", **given))
        assert json.loads(script.asked[-1].body) == sent


@pytest.mark.parametrize("identifier", ["", ".", ".."])
def test_what_names_another_path_is_no_id(perform: Perform, script: Scripted, identifier: str) -> None:
    with pytest.raises(ValueError, match="is no id"):
        perform(lambda client: client.connections.delete(identifier))
    assert script.asked == []


def test_an_id_stays_in_its_place(perform: Perform, script: Scripted) -> None:
    script.will(error(404, "not_found"))
    with pytest.raises(NotFound):
        perform(lambda client: client.connections.get("../logs?x#y"))
    assert script.asked[0].path == "/api/v1/connections/..%2Flogs%3Fx%23y"


def test_a_time_needs_its_zone(perform: Perform) -> None:
    with pytest.raises(ValueError, match="tzinfo"):
        perform(lambda client: client.logs.list(since=datetime(2026, 1, 1)).all())


def test_the_allowance_is_known(script: Scripted) -> None:
    told = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "1774692000"}

    script.will(Reply(200, CONNECTION, told), Reply(502, b"", {}))
    client = CalendarSync(KEY, base_url=script.url, max_retries=0)
    assert client.rate_limit is None
    client.connections.get("conn_1")
    limit = RateLimit(100, 7, datetime(2026, 3, 28, 10, tzinfo=UTC))
    assert client.rate_limit == limit
    with pytest.raises(ServerError):
        client.connections.get("conn_1")
    assert client.rate_limit == limit
    client.close()


@pytest.mark.parametrize("reset", ["soon", "9" * 18, "9" * 5000, ""])
def test_an_allowance_that_cannot_be_read_is_passed_over(script: Scripted, reset: str) -> None:
    told = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "7", "X-RateLimit-Reset": reset}
    script.will(Reply(200, CONNECTION, told))
    with CalendarSync(KEY, base_url=script.url) as client:
        client.connections.get("conn_1")
        assert client.rate_limit is None


ERRORS = [
    NotFound(404, "not_found", "gone", request_id="req_1", details=[Detail("a", "b")], retry_after=2.0),
    SignatureInvalid("too_old", "old"),
    TimedOut("late"),
]


@pytest.mark.parametrize("told", ERRORS)
def test_an_error_comes_out_of_another_process(told: CalendarSyncError) -> None:
    arrived = pickle.loads(pickle.dumps(told))
    assert (type(arrived), str(arrived), vars(arrived)) == (type(told), str(told), vars(told))


def test_the_key_is_sent_and_shown_nowhere(
    perform: Perform, script: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    script.will(error(401, "unauthorized"), Reply(cut=True), Reply(200, b"?"))

    def work(client: Any) -> Any:
        shown.extend((repr(client), str(vars(client)), repr(client.connections)))
        return client.connections.create("caldav", url="u", username="n", password=PASSWORD)

    for _ in range(3):
        with pytest.raises(CalendarSyncError) as caught:
            perform(work, max_retries=0)
        shown.extend((repr(caught.value), "".join(traceback.format_exception(caught.value))))
    assert [each.headers["authorization"] for each in script.asked] == [f"Bearer {KEY}"] * 3
    assert len(caplog.records) > 3
    for text in (*shown, caplog.text):
        assert "canary" not in text


@pytest.mark.parametrize("kind", [CalendarSync, AsyncCalendarSync])
def test_the_environment_is_asked(kind: type[CalendarSync], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALENDARSYNC_API_KEY", raising=False)
    monkeypatch.delenv("CALENDARSYNC_URL", raising=False)
    with pytest.raises(ValueError, match="CALENDARSYNC_API_KEY"):
        kind()
    monkeypatch.setenv("CALENDARSYNC_API_KEY", f"{KEY}\n")
    assert repr(kind()) == f"{kind.__name__}(base_url='http://127.0.0.1:8000')"
    monkeypatch.setenv("CALENDARSYNC_URL", "https://calendar.example.com/api/v1/")
    assert "'https://calendar.example.com'" in repr(kind())
    assert "'https://other.example.com/sync'" in repr(kind(base_url="https://other.example.com/sync/"))


@pytest.mark.parametrize(
    "url",
    [
        "calendar.example.com",
        "ftp://x",
        "http://",
        "http://x:99999",
        "https://a:b@x",
        "http://x?y",
        "http://[x",
        "http://x#",
        "http://x y",
        "http://x/\x00",
        "http://x..y",
        "http://xn--",
        f"http://{'x' * 64}",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        CalendarSync(KEY, base_url=url)


@pytest.mark.parametrize("key", ["canary key", "canary\nkey", "canäry", "canary\x7f"])
def test_a_key_that_is_none_is_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="not an API key") as caught:
        CalendarSync(key)
    assert "can" not in str(caught.value).replace("characters", "")
