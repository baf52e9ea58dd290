"""One request of a chain of redirects, and its answer."""

from dataclasses import dataclass, field

from multidict import CIMultiDictProxy
from yarl import URL

from calendarsync.net.credentials import BasicCredentials

SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
BODY_HEADERS = frozenset({"content-type", "content-length", "content-encoding", "content-language"})


@dataclass(slots=True, repr=False)
class Hop:
    """A request as it goes to one URL; `advance` turns it into the next of the chain."""

    method: str
    url: URL
    headers: dict[str, str]
    body: bytes | None
    credentials: BasicCredentials | None
    max_bytes: int
    confined: bool
    secret_url: bool
    beginning_only: bool

    @property
    def has_secrets(self) -> bool:
        return self.credentials is not None or any(name.lower() in SECRET_HEADERS for name in self.headers)

    def advance(self, method: str, target: URL, *, keeps_credentials: bool) -> None:
        """Go on to `target`, without what may not be shown there or has lost its sense."""
        dropped = frozenset[str]()
        if not keeps_credentials:
            self.credentials = None
            dropped |= SECRET_HEADERS
        if method != self.method:
            self.body = None
            dropped |= BODY_HEADERS
        self.headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        self.method, self.url = method, target


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from one URL, a redirect or a challenge perhaps; `body` is decompressed."""

    status: int
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes = field(repr=False)
