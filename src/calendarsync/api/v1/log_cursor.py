"""The cursor of /logs: where a page of them ended (docs/decisions/logs-cursor.md)."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from calendarsync.store.logs import Place

MAX_CURSOR_LENGTH = 400

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_PAGE = 10**9
_LAST_MICROSECOND = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


class LogCursor(BaseModel):
    """The last log of a page, which page it was, how many logs the first one counted, and what was asked for.

    Not signed: who makes one up moves about in his own logs, and deceives himself about their number.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    at: Annotated[int, Field(ge=0, le=_LAST_MICROSECOND, description="Microseconds since 1970.")]
    id: Annotated[str, Field(pattern=r"^log_[0-9A-Za-z_]{1,36}$")]
    page: Annotated[int, Field(ge=1, le=_LAST_PAGE)]
    total: Annotated[int, Field(ge=0, le=10**12)]
    filters: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]

    @classmethod
    def behind(cls, log_id: str, created_at: datetime, *, page: int, total: int, filters: str) -> Self:
        at = (created_at - _EPOCH) // timedelta(microseconds=1)
        return cls(at=at, id=log_id, page=page, total=total, filters=filters)

    @property
    def place(self) -> Place:
        return Place(_EPOCH + timedelta(microseconds=self.at), self.id)

    def text(self) -> str:
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `text()`. Raises ValueError."""
        padded = text + "=" * (-len(text) % 4)
        try:
            found = cls.model_validate_json(base64.b64decode(padded.encode(), altchars=b"-_", validate=True))
        except (binascii.Error, ValidationError):
            found = None
        # What leads on from the last page there may be was made up.
        if found is None or found.page == _LAST_PAGE:
            raise ValueError("is no cursor of ours")
        return found


def digest_of(*filters: object) -> str:
    """Equal for requests that ask for the same logs."""
    return sha256(json.dumps([str(each) for each in filters]).encode()).hexdigest()[:16]
