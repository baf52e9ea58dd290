"""Types of fields that several resources share. Bodies are strict: nothing is coerced, nothing is ignored."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Body(BaseModel):
    """What a request sends."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def omitted() -> Any:
    """Default of a field that may be left out, but not be null. Whether it was: `model_fields_set`."""
    return None


def _parse_timestamp(value: object) -> datetime:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("must be a time in RFC 3339 with its offset, such as 2026-03-28T10:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is no time that exists") from None


def _check_text(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must not contain control characters")
    return value


Timestamp = Annotated[
    datetime,
    BeforeValidator(_parse_timestamp),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-28T10:00:00Z"]}),
]
Text = Annotated[str, AfterValidator(_check_text)]
Email = Annotated[
    str,
    AfterValidator(_check_text),
    Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$", examples=["you@example.com"]),
]
ConnectionId = Annotated[str, Path(description="`conn_…`", examples=["conn_abc123"])]
PairId = Annotated[str, Path(description="`pair_…`", examples=["pair_xyz789"])]
LogId = Annotated[str, Path(description="`log_…`", examples=["log_456"])]


class Problem(BaseModel):
    """Why something does not work: a code, and words for people."""

    code: str
    message: str


def problem(code: str | None, message: str | None) -> Problem | None:
    return Problem(code=code, message=message or "") if code else None
