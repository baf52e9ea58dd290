"""What is remembered between two readings of a feed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from typing import Self

from calendarsync import __version__

READ_ANYWAY = timedelta(days=1)
"""How long a server is believed that says, without sending the feed, that it did not change."""

EMPTY_DOUBT = timedelta(hours=1)
"""How long a feed that held events must come empty before that is believed."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """`etag` and `last_modified` are the server's validators (RFC 9110 section 8.8), `digest` is ours of the body.

    `address` is a keyed digest of the address that they belong to.
    `read_at` is when the feed was last read in full, `empty_since` since when it has come empty, in Unix
    seconds. `volatile`: it gives its events new UIDs at every reading. `aliases` are those of `matching`.
    """

    read_at: float
    address: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    digest: str | None = None
    empty_since: float | None = None
    volatile: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)

    def dump(self) -> str:
        return json.dumps({"program": __version__, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def load(cls, text: str | None) -> Self | None:
        """The inverse of `dump`; None where there is none, or where another version of the program wrote it."""
        try:
            data = json.loads(text or "null")
            if not isinstance(data, dict) or data.pop("program", None) != __version__:
                return None
            found = cls(**{part.name: data[part.name] for part in fields(cls) if part.name in data})
        except (ValueError, TypeError):
            return None
        return found if isinstance(found.aliases, dict) and isinstance(found.read_at, int | float) else None

    def validators(self, now: datetime) -> dict[str, str]:
        """The headers of a conditional request (RFC 9110 section 13.1)."""
        if not 0 <= now.timestamp() - self.read_at < READ_ANYWAY.total_seconds():
            return {}
        given = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        # What a server sends without minding the rules of headers, we could not send back.
        return {
            name: value for name, value in given.items() if value and value.isascii() and value.isprintable()
        }

    def doubts_emptiness(self, now: datetime) -> bool:
        since = now.timestamp() if self.empty_since is None else self.empty_since
        return now.timestamp() - since < EMPTY_DOUBT.total_seconds()
