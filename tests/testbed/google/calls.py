"""A call of the API, free of HTTP: a request of its own, or a part of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .errors import invalid
from .state import Calendar, User, World


@dataclass
class Call:
    """`arguments` are the path's parameters, `query` the rest; `body` is the JSON that was sent, if any."""

    world: World
    user: User
    arguments: dict[str, str]
    query: dict[str, list[str]]
    body: dict[str, Any] | None
    headers: dict[str, str]

    def calendar(self, needed: str = "reader") -> Calendar:
        return self.world.calendar(self.user, self.arguments["calendarId"], needed)

    def text(self, name: str) -> str | None:
        values = self.query.get(name)
        return values[-1] if values else None

    def flag(self, name: str) -> bool:
        return self.text(name) == "true"

    def number(self, name: str, default: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not value.isdigit() or int(value) < 1:
            raise invalid("Invalid value.", name)
        return int(value)

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    def given(self) -> dict[str, Any]:
        if not isinstance(self.body, dict):
            raise invalid("Parse Error")
        return self.body


@dataclass
class Answer:
    """What a call is answered: `body` is JSON, None where there is none (204, 304)."""

    status: int = 200
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
