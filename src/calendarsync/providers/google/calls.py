"""One call of the Calendar API, before it is known whether it goes by itself or in a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

PATH = "/calendar/v3"


@dataclass(frozen=True, slots=True)
class Call:
    """`path` begins behind `PATH`, its parts quoted. `if_match` is an ETag (guide "Get specific versions")."""

    method: str
    path: str = field(repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    if_match: str | None = None

    @property
    def target(self) -> str:
        """Path and query."""
        query = urlencode(self.query, quote_via=quote)
        return f"{PATH}{self.path}?{query}" if query else f"{PATH}{self.path}"

    @property
    def units(self) -> int:
        """What it counts for Google's quotas: a patch is three (reference of events.patch)."""
        return 3 if self.method == "PATCH" else 1

    @property
    def headers(self) -> Mapping[str, str]:
        types = {} if self.body is None else {"Content-Type": "application/json; charset=UTF-8"}
        return types if self.if_match is None else {**types, "If-Match": self.if_match}

    @property
    def content(self) -> bytes:
        """The body as ASCII, on one line; empty where there is none."""
        return b"" if self.body is None else json.dumps(self.body).encode()


def events_path(calendar_id: str) -> str:
    return f"/calendars/{quote(calendar_id, safe='')}/events"


def data_of(status: int, body: bytes) -> Mapping[str, Any] | None:
    """The JSON object that an answer holds; an empty one where none is needed, None where it broke off."""
    try:
        data = json.loads(body) if body.strip() else None
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict):
        return data
    return {} if status == 204 or not 200 <= status < 300 else None
