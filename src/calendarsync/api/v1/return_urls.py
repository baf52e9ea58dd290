"""Where people may be sent back to after they granted access: what an account has registered, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from pydantic import AfterValidator, Field

from calendarsync.api.v1.fields import Text

MOST = 20

# RFC 3986 has no other characters; what a browser makes of a backslash or a space is not what we would read.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+", re.ASCII)
# Python reads what stands behind a closing bracket as nothing.
_AUTHORITY = re.compile(r"([^@\[\]:;,]+|\[[^\[\]]+\])(:[0-9]*)?")
_FORM = "must be an https address, or an http address on this machine such as http://127.0.0.1:3000/connected"


def _check(url: str) -> str:
    if not _CHARACTERS.fullmatch(url):
        raise ValueError(_FORM)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_FORM) from None
    if not host or not _AUTHORITY.fullmatch(parts.netloc):
        raise ValueError(_FORM)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ValueError(_FORM)
    return url


def _is_loopback(host: str) -> bool:
    """RFC 8252 section 7.3: what is sent there does not leave the machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _each_once(urls: list[str]) -> list[str]:
    return list(dict.fromkeys(urls))


ReturnUrls = Annotated[
    list[Annotated[Text, Field(min_length=1, max_length=2000), AfterValidator(_check)]],
    Field(
        max_length=MOST,
        description="Where people may be sent back to after they granted access; these take the place of all "
        "before. https, or http on this machine.",
        examples=[["https://app.example.com/connected"]],
    ),
    AfterValidator(_each_once),
]


def is_registered(url: str, registered: Sequence[str] | None) -> bool:
    """Letter by letter, as RFC 9700 section 2.1 has it for redirects: patterns let more through than is meant."""
    return url in (registered or ())


def with_outcome(url: str, outcome: Mapping[str, str]) -> str:
    """A registered address with `outcome` at the end of its query."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(outcome)}"
