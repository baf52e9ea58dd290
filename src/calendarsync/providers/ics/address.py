"""The address of a feed. As a rule it is a secret: whoever has it can read the calendar."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from yarl import URL

from calendarsync.net import BasicCredentials, InvalidUrl, parse_url
from calendarsync.providers.base import Unreachable

_WEBCAL = re.compile(r"webcal(s?):(?://|(?=https?://))", re.IGNORECASE)
_USER = re.compile(r"(https?://)([^/?#]*)@", re.IGNORECASE)
_KEY_COST = 2**14


@dataclass(frozen=True, slots=True)
class FeedAddress:
    """`url` is http or https, without a user name; `webcal` whether it was given as webcal, which names neither."""

    url: str = field(repr=False)
    credentials: BasicCredentials | None = field(default=None, repr=False)
    webcal: bool = field(default=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """http, https, webcal or webcals, with `user:password@` before the host or not. Raises Unreachable."""
        text = text.strip()
        scheme = _WEBCAL.match(text)
        rest = text[scheme.end() :] if scheme else text
        plain = rest if scheme is None or "://" in rest[:8] else f"https://{rest}"
        webcal = scheme is not None and not scheme[1] and plain is not rest
        found = _USER.match(plain)
        credentials = None
        if found is not None:
            name, _, password = found[2].partition(":")
            credentials = BasicCredentials(unquote(name), unquote(password))
            plain = found[1] + plain[found.end() :]
        try:
            return cls(str(parse_url(plain)), credentials, webcal)
        except InvalidUrl as error:
            unlike = "must start with" in error.message
            words = "The URL must start with https://, http:// or webcal:// and name a host."
            raise Unreachable(words if unlike else error.message) from None

    def over_http(self) -> FeedAddress:
        """The same feed without TLS."""
        return FeedAddress("http" + self.url.removeprefix("https"), self.credentials, self.webcal)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def masked(self) -> str:
        """What may be shown: the host, and no more of it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}/…"

    @property
    def text(self) -> str:
        """The address as `parse` takes it again, credentials included."""
        if self.credentials is None:
            return self.url
        scheme, _, rest = self.url.partition("://")
        user = f"{quote(self.credentials.username, safe='')}:{quote(self.credentials.password, safe='')}"
        return f"{scheme}://{user}@{rest}"

    def make_key(self) -> str:
        """One name for the feed however its address is spelled, the same in every installation (rules 3 and 4).

        It must not depend on a key, and the address must not be guessed from it: so it is a slow digest, which
        takes some 50 ms.
        """
        parts = urlsplit(self.url)
        port = "" if parts.port in (None, 80, 443) else f":{parts.port}"
        user = self.credentials.username if self.credentials else ""
        # yarl brings percent signs into one form.
        name = f"{user}@{parts.hostname}{port}{URL(self.url).path_qs}"
        digest = hashlib.scrypt(name.encode(), salt=b"calendarsync ics", n=_KEY_COST, r=8, p=1, dklen=32)
        return digest.hex()
