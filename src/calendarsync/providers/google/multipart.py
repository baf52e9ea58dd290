"""Batches of calls as one HTTP request, and their answers as one HTTP response (guide "Send batch requests").

Both are `multipart/mixed`; each part is `application/http`, an HTTP message of its own with a path but no host. The
answer to the part `<n>` has the Content-ID `<response-n>`; the calls may be carried out in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from multidict import CIMultiDict

from calendarsync.providers.google.calls import Call, data_of
from calendarsync.providers.google.errors import Answer

BOUNDARY = "calendarsync-part"
CONTENT_TYPE = f"multipart/mixed; boundary={BOUNDARY}"
_BOUNDARY = re.compile(r'\bboundary="?([^";\s]+)"?', re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})\b")
_NUMBER = re.compile(r"<?response-(\d{1,4})>?")


def write_batch(calls: list[Call]) -> bytes:
    """The body that asks for all of them; the headers of the request around it hold for each."""
    parts = [_part(number, call) for number, call in enumerate(calls)]
    return b"".join((*parts, f"--{BOUNDARY}--\r\n".encode()))


def _part(number: int, call: Call) -> bytes:
    body = call.content
    lines = [
        f"--{BOUNDARY}",
        "Content-Type: application/http",
        f"Content-ID: <{number}>",
        "",
        f"{call.method} {call.target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in call.headers.items()),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    # A JSON text as `Call` writes it has no line breaks, so none of its lines is a boundary.
    return "\r\n".join(lines).encode() + body + b"\r\n"


def read_batch(content_type: str, body: bytes) -> dict[int, Answer]:
    """The answers by the numbers of their calls; what cannot be read is left out."""
    named = _BOUNDARY.search(content_type)
    if named is None:
        return {}
    line = rb"(?:\A|\r?\n)--" + re.escape(named[1].encode()) + rb"(?:--)?[ \t]*(?:\r?\n|\Z)"
    parts = [part for part in re.split(line, body) if part.strip()]
    return dict(_answers(parts))


def _answers(parts: list[bytes]) -> Iterator[tuple[int, Answer]]:
    for place, part in enumerate(parts):
        head, message = _halves(part)
        number = _NUMBER.fullmatch(_headers(head).get("Content-ID", ""))
        answer = _answer(message)
        if answer is not None:
            yield int(number[1]) if number else place, answer


def _answer(message: bytes) -> Answer | None:
    head, body = _halves(message)
    found = _STATUS.match(head)
    if found is None:
        return None
    status = int(found[1])
    data = data_of(status, body)
    return None if data is None else Answer(status, data, _headers(head))


def _halves(message: bytes) -> tuple[bytes, bytes]:
    """What stands before the first blank line, and what behind it."""
    halves = _BLANK_LINE.split(message.lstrip(b"\r\n"), maxsplit=1)
    return halves[0], halves[1] if len(halves) > 1 else b""


def _headers(head: bytes) -> Mapping[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").splitlines())
    return CIMultiDict((name.strip(), value.strip()) for name, colon, value in lines if colon)
