"""Batches: several calls in one multipart/mixed request (guide "Send batch requests").

Each part is a whole HTTP request, with its path alone, and is answered by itself in the same order; the outer
request's headers stand in where a part has none of its own. "You're limited to 50 calls in a single batch request"
is what newer copies of Google's guides say; older ones say 1000, so the model keeps to the lower number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from http import HTTPStatus

from .api import Reply, Request
from .calls import Answer
from .errors import ApiError

LIMIT = 50
_START = re.compile(rb"([A-Z]+) (\S+)(?: HTTP/1\.[01])?")


@dataclass
class Part:
    content_id: str | None
    request: Request


def read(content_type: str, content: bytes, outer: dict[str, str], violations: list[str]) -> list[Part]:
    """The calls of a batch. Raises 400 for what is no batch, or has too many."""
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + content
    )
    if message.get_content_type() != "multipart/mixed" or not message.is_multipart():
        raise ApiError(400, "badRequest", "Failed to parse batch request.")
    parts = [_part(each, outer, violations) for each in message.iter_parts()]
    if len(parts) > LIMIT:
        violations.append(f"batch: {len(parts)} calls, {LIMIT} are allowed")
        raise ApiError(400, "batchSizeTooLarge", f"The batch request has more than {LIMIT} calls.")
    return parts


def _part(message: object, outer: dict[str, str], violations: list[str]) -> Part:
    assert isinstance(message, EmailMessage)
    if message.get_content_type() != "application/http":
        violations.append("batch: a part's Content-Type is not application/http")
    content = message.get_payload(decode=True)
    assert isinstance(content, bytes)
    head, _, body = content.replace(b"\r\n", b"\n").lstrip(b"\n").partition(b"\n\n")
    first, _, rest = head.partition(b"\n")
    start = _START.fullmatch(first.strip())
    if start is None:
        raise ApiError(400, "badRequest", "Failed to parse batch request.")
    headers = {name: value for name, value in outer.items() if not name.startswith("content-")}
    for line in rest.decode().splitlines():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    target = start[2].decode()
    if not target.startswith("/"):
        violations.append("batch: a part has a whole URL, only its path is allowed")
        target = "/" + target.split("/", 3)[3]
    return Part(message["Content-ID"], Request(start[1].decode(), target, headers, body.strip(), part=True))


def answered(parts: list[Part], answer: Callable[[Request], Reply]) -> tuple[str, bytes]:
    """Content-Type and body of the answer to a batch; a part's own answer never fails the whole."""
    boundary = "batch_model"
    chunks = []
    for part in parts:
        reply = answer(part.request).answer
        identity = f"Content-ID: {_response_id(part.content_id)}\r\n" if part.content_id else ""
        chunks.append(f"--{boundary}\r\nContent-Type: application/http\r\n{identity}\r\n{_http(reply)}\r\n")
    text = "".join(chunks) + f"--{boundary}--\r\n"
    return f"multipart/mixed; boundary={boundary}", text.encode()


def _response_id(content_id: str) -> str:
    """`<item1:12930812@barnyard.example.com>` comes back as `<response-item1:12930812@barnyard.example.com>`."""
    return "<response-" + content_id.strip().removeprefix("<").removesuffix(">") + ">"


def _http(answer: Answer) -> str:
    body = "" if answer.body is None else json.dumps(answer.body)
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    if body:
        lines.append("Content-Type: application/json; charset=UTF-8")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    lines.append(f"Content-Length: {len(body.encode())}")
    return "\r\n".join(lines) + "\r\n\r\n" + body
