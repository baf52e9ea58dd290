"""JSON as RFC 8259 means it, and nothing that two programs could read differently."""

from __future__ import annotations

import json
from typing import Any, NoReturn


class NotJsonError(ValueError):
    """The text cannot be read as JSON; the message says why, without repeating it."""


def parse(data: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises NotJsonError, also for what Python's parser lets pass: a repeated name, NaN and infinities, halves of
    surrogate pairs (which no UTF-8 text can hold), numbers and nesting beyond all use.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotJsonError("the body is not text in UTF-8") from None
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_number)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except NotJsonError:
        raise
    except json.JSONDecodeError as error:
        raise NotJsonError(f"the body is not JSON: line {error.lineno}, column {error.colno}") from None
    except UnicodeEncodeError:
        raise NotJsonError("the body holds half of a surrogate pair") from None
    except RecursionError:
        raise NotJsonError("the body is nested too deeply") from None
    except ValueError:  # Python's limit on the digits of a number
        raise NotJsonError("the body holds a number that is too long") from None
    return value


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise NotJsonError("the body names a field twice")
    return found


def _no_constant(_name: str) -> NoReturn:
    raise NotJsonError("the body holds NaN or an infinity, which are not JSON")


def _number(digits: str) -> float:
    """`5.0` and `5e0` are the whole number 5, as JSON Schema has it."""
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotJsonError("the body holds a number that is too large")
    return int(number) if number.is_integer() else number
