"""A client that speaks ASGI to the application, with nothing in between that could tidy a request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message

from tests.api.documented import is_documented

Header = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def fields(self) -> set[str]:
        """The fields that an error points at."""
        return {each["field"] for each in self.error["details"]}


@dataclass
class Client:
    """`key` is sent with every request; None sends none. Every answer is kept in `answers`.

    None is taken that the OpenAPI document does not name.
    """

    app: ASGIApp
    key: str | None = None
    answers: list[Answer] = field(default_factory=list)

    async def get(self, url: str, **options: Any) -> Answer:
        return await self.request("GET", url, **options)

    async def post(self, url: str, body: object = None, **options: Any) -> Answer:
        return await self.request("POST", url, body, **options)

    async def patch(self, url: str, body: object = None, **options: Any) -> Answer:
        return await self.request("PATCH", url, body, **options)

    async def delete(self, url: str, **options: Any) -> Answer:
        return await self.request("DELETE", url, **options)

    async def request(
        self,
        method: str,
        url: str,
        body: object = None,
        *,
        headers: Sequence[Header] = (),
        content_type: str | None = "application/json",
        key: str | None = None,
    ) -> Answer:
        """`body` is sent as it is where it is bytes, and as JSON where it is anything else but None."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = list(headers)
        if (key or self.key) and not any(name.lower() == "authorization" for name, _ in headers):
            sent.append(("authorization", f"Bearer {key or self.key}"))
        if content_type is not None and body is not None:
            sent.append(("content-type", content_type))
        answer = await _exchange(self.app, method, url, sent, data)
        self.answers.append(answer)
        assert is_documented(method, urlsplit(url).path, answer.status), f"{method} {url}: {answer}"
        return answer


async def _exchange(app: ASGIApp, method: str, url: str, headers: Sequence[Header], data: bytes) -> Answer:
    parts = urlsplit(url)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "root_path": "",
        "query_string": parts.query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "server": ("testserver", 80),
        "client": ("192.0.2.1", 50000),
    }
    chunks = [data[start : start + 65_536] for start in range(0, len(data), 65_536)] or [b""]
    sent: list[Message] = []

    async def receive() -> Message:
        if chunks:
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = next(message for message in sent if message["type"] == "http.response.start")
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return Answer(start["status"], Headers(raw=start["headers"]), body)
