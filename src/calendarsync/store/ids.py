"""Identifiers: what they name, an underscore, and enough chance never to meet twice or be guessed."""

from __future__ import annotations

import secrets
import string
import time

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_LENGTH = 22  # 62 ** 22 > 2 ** 130

ORDERED = frozenset({"log", "sync_run", "evt", "dlv"})
"""Kinds of which there are so many that their indexes are to grow at the end, and not at a page by chance."""

# One case of letters alone: so their order is that of time in every collation, in "C" as in "en_US".
_BASE36 = string.digits + string.ascii_lowercase
_TIME_LENGTH = 8  # 36 ** 8 hundredths of a second: until the year 2863
_CHANCE_LENGTH = _LENGTH - _TIME_LENGTH  # 62 ** 14 > 2 ** 83


def random_base62(length: int) -> str:
    """Every text of that length is as likely as any other."""
    return _digits(secrets.randbelow(62**length), BASE62, length)


def new_id(kind: str) -> str:
    """`new_id("conn")` is `conn_` and 22 characters.

    Those of `ORDERED` kinds begin with the time, in hundredths of a second, by this process's own clock, and not by
    the database's that all else goes by: nothing reads it back, and where a clock is wrong, ids only lie less close
    together. So whoever makes one need not know what time it is.
    """
    if kind not in ORDERED:
        return f"{kind}_{random_base62(_LENGTH)}"
    at = _digits(time.time_ns() // 10_000_000, _BASE36, _TIME_LENGTH)
    return f"{kind}_{at}{random_base62(_CHANCE_LENGTH)}"


def _digits(number: int, alphabet: str, length: int) -> str:
    """The last `length` digits of the number, the most significant one first."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        digits.append(alphabet[digit])
    return "".join(reversed(digits))
