"""Blocking requests with JSON in them, as a person's program makes them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

Row = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    body: Row

    def expect(self, *statuses: int) -> Row:
        """The body of an answer that has to have one of these statuses."""
        assert self.status in statuses, (self.status, self.body)
        return self.body


def ask(
    method: str,
    url: str,
    token: str,
    body: Row | None = None,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    query = urlencode(params or {}) or parts.query
    given = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **(headers or {})}
    try:
        path = parts.path + (f"?{query}" if query else "")
        connection.request(method, path, None if body is None else json.dumps(body), given)
        response = connection.getresponse()
        data = response.read()
        return Answer(response.status, json.loads(data) if data else {})
    finally:
        connection.close()
