"""Which server, and with which key."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

KEY_VARIABLE, URL_VARIABLE = "CALENDARSYNC_API_KEY", "CALENDARSYNC_URL"
DEFAULT_URL = "http://127.0.0.1:8000"  # where `calendarsync serve` listens
_API = "/api/v1"


@dataclass(frozen=True)
class Server:
    """`url` is the server's address, without `/api/v1` and without a slash at its end."""

    url: str
    key: str = field(repr=False)

    @property
    def api(self) -> str:
        return self.url + _API

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, which no proxy of the environment leads to."""
        host = urlsplit(self.url).hostname or ""
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False


def find_server(api_key: str | None, base_url: str | None) -> Server:
    """What was given, else what the environment says. Raises ValueError, which never repeats the key."""
    key = (api_key or os.environ.get(KEY_VARIABLE) or "").strip()
    if not key:
        raise ValueError(f"an API key is needed: set {KEY_VARIABLE}, or give one")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("this is not an API key: it holds characters that no key has")
    return Server(_address(base_url or os.environ.get(URL_VARIABLE) or DEFAULT_URL), key)


def _address(text: str) -> str:
    url = text.strip().rstrip("/").removesuffix(_API).rstrip("/")
    try:
        parts = urlsplit(url)
        host = httpx.URL(url).host.encode("idna")  # as the resolver will
        usable = parts.scheme in ("http", "https") and host and (parts.port or True)
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable or set(url) & set("?# "):
        raise ValueError("the base URL must be an address such as https://calendar.example.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the base URL must not hold a user name or a password")
    return url
