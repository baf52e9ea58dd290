"""Types of fields that several resources share. Bodies are strict: nothing is coerced, nothing is ignored."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DECEIVING = re.compile(r"[\x80-\x9f\u202a-\u202e\u2066-\u2069]")
# U+0085 is a space to Python alone, U+FEFF to JSON Schema alone.
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f\x85\ufeff]+@[^@\s\x00-\x1f\x7f\x85\ufeff]+")


class Body(BaseModel):
    """What a request sends."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def omitted() -> Any:
    """Default of a field that may be left out, but not be null. Whether it was: `model_fields_set`."""
    return None


def parse_timestamp(value: object) -> datetime:
    """A time of RFC 3339 in UTC. Raises ValueError, in words for the caller."""
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("must be a time in RFC 3339 with its offset, such as 2026-03-28T10:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is no time that exists") from None


def none_of(characters: re.Pattern[str]) -> Any:
    """How the document says that a text has none of the `characters`, which a validator beside it refuses."""
    return Field(json_schema_extra={"pattern": f"^[^{characters.pattern[1:]}*$"})


def _check_text(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must not contain control characters")
    return value


def _check_name(value: str) -> str:
    if _DECEIVING.search(value):
        raise ValueError("must not contain control characters, or characters that turn the direction of text")
    # Separators, format characters and the like: a name of nothing else cannot be seen.
    if all(unicodedata.category(each)[0] in "CZ" for each in value):
        raise ValueError("must not be blank")
    return value


def _check_email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise ValueError("must be an address such as you@example.com")
    return value


Timestamp = Annotated[
    datetime,
    BeforeValidator(parse_timestamp),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-28T10:00:00Z"]}),
]
Text = Annotated[str, AfterValidator(_check_text), none_of(_CONTROL)]
Name = Annotated[
    Text,
    AfterValidator(_check_name),
    none_of(re.compile(f"{_CONTROL.pattern[:-1]}{_DECEIVING.pattern[1:]}")),
]
Email = Annotated[
    str,
    AfterValidator(_check_email),
    Field(
        max_length=254,
        examples=["you@example.com"],
        json_schema_extra={"pattern": f"^{_EMAIL.pattern}$"},
    ),
]
# PostgreSQL takes no U+0000, and nothing that we have is named with it.
Id = Annotated[str, AfterValidator(lambda value: value.replace("\0", "\N{REPLACEMENT CHARACTER}"))]
ConnectionId = Annotated[Id, Path(description="`conn_…`", examples=["conn_abc123"])]
PairId = Annotated[Id, Path(description="`pair_…`", examples=["pair_xyz789"])]
LogId = Annotated[Id, Path(description="`log_…`", examples=["log_456"])]
WebhookId = Annotated[Id, Path(description="`whk_…`", examples=["whk_123"])]
DeliveryId = Annotated[Id, Path(description="`dlv_…`", examples=["dlv_123"])]
DelegationId = Annotated[Id, Path(description="`dlg_…`", examples=["dlg_123"])]
KeyId = Annotated[Id, Path(description="`key_…`", examples=["key_123"])]


class Problem(BaseModel):
    """Why something does not work: a code, and words for people."""

    code: str
    message: str


def problem(code: str | None, message: str | None) -> Problem | None:
    return Problem(code=code, message=message or "") if code else None
