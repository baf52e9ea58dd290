"""What is remembered between two readings of a calendar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from typing import Self


@dataclass(frozen=True, slots=True)
class Cursor:
    """`token` is the sync token (RFC 6578); `ctag` stands in where the server has no sync-collection.

    With neither, all is listed every time. `listed_at` is when all was listed last, in Unix seconds. `depth`
    is the Depth header that the server's sync-collection wants, `multiget` whether calendar-multiget works.
    `state` is the digest of the index after the reading, where the token needs one (`quirks.names_a_state`).
    """

    listed_at: float
    token: str | None = None
    ctag: str | None = None
    depth: str = "0"
    multiget: bool = True
    state: str | None = None

    def dump(self) -> str:
        return json.dumps({"v": 1, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def load(cls, text: str | None) -> Self | None:
        """The inverse of `dump`; None where there is none, or where it was written by something else."""
        try:
            data = json.loads(text or "null")
            if not isinstance(data, dict) or data.pop("v", None) != 1:
                return None
            parts = {part.name: data[part.name] for part in fields(cls) if part.name in data}
            listed_at = float(parts.pop("listed_at"))
        except (ValueError, TypeError, KeyError):
            return None
        if not all(isinstance(parts.get(name), str | None) for name in ("token", "ctag", "depth", "state")):
            return None
        return cls(listed_at, **parts)


def digest_of(versions: Mapping[str, str | None]) -> str:
    """Equal for equal indexes: ids with their versions, in any order."""
    return sha256(json.dumps(sorted(versions.items())).encode()).hexdigest()
