"""The public API as any program would call it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from calendarsync.demo.processes import DemoError

# A trigger answers after 25 s at the latest.
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Api:
    """`url` is the server's, without the path; the key never shows in a message."""

    url: str
    key: str

    def get(self, path: str) -> dict[str, Any]:
        return self._call("GET", path, None)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        return self._call("POST", path, body or {})

    def _call(self, method: str, path: str, body: Mapping[str, object] | None) -> dict[str, Any]:
        parts = urlsplit(self.url)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        # Not urllib: it would send requests to this machine through a proxy of the environment.
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1{path}", content, headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise DemoError(f"{method} {path}: no usable answer from CalendarSync: {error}") from error
        finally:
            connection.close()
        if response.status >= 300:
            raise DemoError(f"{method} {path} answered {response.status}: {json.dumps(answer.get('error'))}")
        return answer
