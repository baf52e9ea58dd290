"""Calls that share a request: their form, and what becomes of odd answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.net import HttpClient
from calendarsync.providers.base import Unavailable
from calendarsync.providers.google.batching import Batcher
from calendarsync.providers.google.calls import Call, events_path
from calendarsync.providers.google.multipart import read_batch, write_batch
from calendarsync.providers.google.session import Session
from tests.providers.google.helpers import NOW
from tests.providers.tokens import GrantTokens
from tests.testbed.google import Account, Model

# As the guide "Send batch requests" shows an answer, with other contents.
ANSWER = """--batch_foobarbaz\r
Content-Type: application/http\r
Content-ID: <response-1>\r
\r
HTTP/1.1 200 OK\r
Content-Type: application/json; charset=UTF-8\r
Content-Length: 21\r
ETag: "etag/animals"\r
\r
{\r
  "id": "second"\r
}\r
--batch_foobarbaz\r
Content-Type: application/http\r
Content-ID: <response-0>\r
\r
HTTP/1.1 412 Precondition Failed\r
Content-Type: application/json\r
\r
{"error": {"errors": [{"reason": "conditionNotMet"}], "code": 412}}\r
--batch_foobarbaz\r
Content-Type: application/http\r
Content-ID: response-2\r
\r
HTTP/1.1 204 No Content\r
Retry-After: 7\r
\r
\r
--batch_foobarbaz--"""
KIND = "multipart/mixed; boundary=batch_foobarbaz"


def test_a_request_is_as_the_guide_shows_it() -> None:
    calls = [
        Call("GET", "/calendars/a/events", {"iCalUID": "x@example.com", "fields": "items(id)"}),
        Call("PATCH", "/calendars/a/events/b", {}, {"summary": "Größe\n--calendarsync-part--"}, '"etag"'),
    ]
    assert write_batch(calls).decode("ascii").split("\r\n") == [
        "--calendarsync-part",
        "Content-Type: application/http",
        "Content-ID: <0>",
        "",
        "GET /calendar/v3/calendars/a/events?iCalUID=x%40example.com&fields=items%28id%29 HTTP/1.1",
        "Content-Length: 0",
        "",
        "",
        "--calendarsync-part",
        "Content-Type: application/http",
        "Content-ID: <1>",
        "",
        "PATCH /calendar/v3/calendars/a/events/b HTTP/1.1",
        "Content-Type: application/json; charset=UTF-8",
        'If-Match: "etag"',
        "Content-Length: 53",
        "",
        r'{"summary": "Gr\u00f6\u00dfe\n--calendarsync-part--"}',
        "--calendarsync-part--",
        "",
    ]


@pytest.mark.parametrize(
    "kind", [KIND, 'multipart/mixed; boundary="batch_foobarbaz"', KIND + "; charset=UTF-8"]
)
@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_an_answer_is_read_by_its_content_ids(kind: str, line_end: str) -> None:
    answers = read_batch(kind, ANSWER.replace("\r\n", line_end).encode())
    assert {number: answer.status for number, answer in answers.items()} == {0: 412, 1: 200, 2: 204}
    assert answers[1].data == {"id": "second"}
    assert answers[1].headers["etag"] == '"etag/animals"'
    assert answers[0].reasons == {"conditionNotMet"}
    assert answers[2].headers["retry-after"] == "7"


@pytest.mark.parametrize("length", [0, 50, 150, 200, 260, 300, 420, 500, 560, 600])
def test_of_an_answer_that_breaks_off_only_whole_parts_count(length: int) -> None:
    answers = read_batch(KIND, ANSWER.encode()[:length])
    assert answers.get(1) is None or answers[1].data == {"id": "second"}


@given(st.text(max_size=60), st.binary(max_size=400))
def test_no_answer_is_an_error(kind: str, body: bytes) -> None:
    read_batch(kind, body)
    read_batch(KIND, b"--batch_foobarbaz\r\n" + body)


@given(
    st.lists(
        st.tuples(
            st.integers(200, 599),
            st.dictionaries(
                st.text(max_size=5), st.text(max_size=20) | st.integers() | st.none(), max_size=4
            ),
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_any_answer_comes_back_whole(answers: list[tuple[int, dict[str, Any]]], chance: Any) -> None:
    """Whatever its texts hold: JSON has no line break outside of its strings' escapes."""
    parts = [
        f"--limit\r\nContent-ID: <response-{number}>\r\n\r\nHTTP/1.1 {status} Any\r\n\r\n"
        f"{json.dumps(data, ensure_ascii=False, indent=1)}\r\n"
        for number, (status, data) in enumerate(answers)
    ]
    chance.shuffle(parts)
    body = "".join(parts).encode("utf-8", "surrogatepass") + b"--limit--\r\n"
    found = read_batch("multipart/mixed; boundary=limit", body)
    for number, (status, data) in enumerate(answers):
        assert (found[number].status, found[number].data) == (status, data)


@pytest.fixture
def session(client: HttpClient, google_model: Model, account: Account) -> Session:
    return Session(client, GrantTokens(account), api_url=google_model.url, now=lambda: NOW)


async def test_calls_at_the_same_moment_share_a_request_and_get_each_its_own_answer(
    session: Session, account: Account
) -> None:
    batcher = Batcher(session)
    bodies = [
        {"id": f"event{n}", "start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"}}
        for n in range(120)
    ]
    calls = [Call("POST", events_path(account.email), {"sendUpdates": "none"}, body) for body in bodies]
    answers = await asyncio.gather(*(batcher.send(call) for call in calls))
    assert [answer.data["id"] for answer in answers] == [body["id"] for body in bodies]
    assert session.requests == 3


async def test_a_call_alone_is_a_plain_request(
    session: Session, google_model: Model, account: Account
) -> None:
    batcher = Batcher(session)
    for _ in range(2):
        await batcher.send(Call("GET", events_path(account.email)))
    assert [call.method for call in google_model.seen] == ["calendar.events.list"] * 2


async def test_what_fails_them_all_is_told_to_all(
    session: Session, google_model: Model, account: Account
) -> None:
    batcher = Batcher(session)
    google_model.fail(503, method="batch")
    calls = (batcher.send(Call("GET", events_path(account.email))) for _ in range(5))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 5


async def test_a_defect_of_ours_leaves_nobody_waiting(session: Session, account: Account) -> None:
    batcher = Batcher(session)
    calls = [Call("POST", events_path(account.email), body={"start": object()}) for _ in range(2)]
    results = await asyncio.gather(*map(batcher.send, calls), return_exceptions=True)
    assert [type(result) for result in results] == [TypeError] * 2


def test_contents_and_tokens_are_in_no_repr() -> None:
    call = Call("PATCH", "/calendars/canary/events", {"q": "canary"}, {"summary": "canary"})
    assert "canary" not in repr(call)
    answer = read_batch(KIND, ANSWER.encode())[1]
    assert "second" not in repr(answer)
