"""The cookie that tells the browser in which a person began from all others."""

from __future__ import annotations

import hmac
import re

from fastapi import Request, Response
from sqlalchemy import RowMapping

from calendarsync.api.services import Services

_LASTS_SECONDS = 1_800  # the link's fifteen minutes, and as many to pick calendars
_FORM = re.compile(r"[0-9A-Za-z]{43}", re.ASCII)


def is_secret(text: str) -> bool:
    """Whether it has the form of what `new_secret` makes; the database is not asked for anything else."""
    return _FORM.fullmatch(text) is not None


def _name(services: Services, row: RowMapping) -> str:
    """Each authorization has its own, so that two that are under way leave each other alone.

    With `__Host-` a browser takes it from this host and over https alone: no neighbour can plant one (RFC 6265bis
    section 4.1.3.2).
    """
    prefix = "__Host-" if _is_secure(services) else ""
    return f"{prefix}calendarsync-{row['id']}"


def _is_secure(services: Services) -> bool:
    return services.settings.public_url.startswith("https://")


def known(request: Request, services: Services, row: RowMapping) -> str | None:
    """What the browser was given for this authorization; None where it brings nothing of the kind."""
    value = request.cookies.get(_name(services, row), "")
    return value if is_secret(value) else None


def give(response: Response, services: Services, row: RowMapping, value: str) -> None:
    response.set_cookie(
        _name(services, row),
        value,
        max_age=_LASTS_SECONDS,
        path="/",
        secure=_is_secure(services),
        httponly=True,
        # Not `strict`: the provider's answer comes from another site.
        samesite="lax",
    )


def hash_of(services: Services, value: str) -> str:
    """What is kept of a cookie."""
    return services.keyring.session_hash(f"browser {value}")


def is_the_same(request: Request, services: Services, row: RowMapping) -> bool:
    """Whether this is the browser that began."""
    value, expected = known(request, services, row), row["browser_hash"]
    if value is None or expected is None:
        return False
    hashes = services.keyring.session_hashes(f"browser {value}")
    return any(hmac.compare_digest(each, expected) for each in hashes)


def form_token(services: Services, row: RowMapping, cookie: str) -> str:
    """What a form of ours holds, so that only a page that this browser got from us can send it."""
    return services.keyring.request_hash(b"consent form", row["id"].encode(), cookie.encode())


def is_own_form(services: Services, row: RowMapping, cookie: str | None, given: str) -> bool:
    if cookie is None:
        return False
    return hmac.compare_digest(form_token(services, row, cookie).encode(), given.encode())
