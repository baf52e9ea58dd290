"""Identifiers: what they name, an underscore, and enough chance never to meet twice or be guessed."""

from __future__ import annotations

import secrets
import string

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_LENGTH = 22  # 62 ** 22 > 2 ** 130


def random_base62(length: int) -> str:
    """Every text of that length is as likely as any other."""
    number = secrets.randbelow(62**length)
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    return "".join(digits)


def new_id(kind: str) -> str:
    """`new_id("conn")` is `conn_` and 22 characters."""
    return f"{kind}_{random_base62(_LENGTH)}"
