"""Identifiers: what they name, an underscore, and enough chance never to meet twice or be guessed."""

from __future__ import annotations

import secrets
import string

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_LENGTH = 22  # 62 ** 22 > 2 ** 130


def random_base62(length: int) -> str:
    return "".join(secrets.choice(BASE62) for _ in range(length))


def new_id(kind: str) -> str:
    """`new_id("conn")` is `conn_` and 22 characters."""
    return f"{kind}_{random_base62(_LENGTH)}"
