"""What a request says in its Authorization header."""

from base64 import b64encode
from collections import OrderedDict
from collections.abc import Sequence

from multidict import CIMultiDictProxy
from yarl import URL

from calendarsync.net.credentials import BasicCredentials
from calendarsync.net.digest import Challenge, parse_challenges, parse_parameters, strongest

MAX_REMEMBERED_ORIGINS = 1024


class DigestMemory:
    """The Digest challenge of each origin that set one, so that later requests need no 401 first.

    One nonce serves all users of an origin, with one rising count, so nobody's password is offered as Basic
    to a server that is known to want Digest. The least recently used origin is forgotten first.
    """

    def __init__(self, capacity: int = MAX_REMEMBERED_ORIGINS) -> None:
        self._capacity = capacity
        self._challenges: OrderedDict[URL, Challenge] = OrderedDict()

    def get(self, url: URL) -> Challenge | None:
        """The challenge to answer in advance."""
        if not self._challenges:
            return None
        origin = url.origin()
        challenge = self._challenges.get(origin)
        if challenge is not None:
            self._challenges.move_to_end(origin)
        return challenge

    def remember(self, url: URL, challenge: Challenge) -> None:
        """Answer `challenge` from now on."""
        self._challenges[url.origin()] = challenge
        self._challenges.move_to_end(url.origin())
        if len(self._challenges) > self._capacity:
            self._challenges.popitem(last=False)

    def forget(self, url: URL) -> None:
        """The origin no longer asks for Digest."""
        self._challenges.pop(url.origin(), None)


def basic_authorization(credentials: BasicCredentials) -> str:
    """The value of the Authorization header for Basic (RFC 7617), in UTF-8."""
    return "Basic " + b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()


def digest_authorization(challenge: Challenge, method: str, url: URL, credentials: BasicCredentials) -> str:
    """The value of the Authorization header that answers `challenge` for a request to `url`."""
    return challenge.authorization(method, url.raw_path_qs, credentials)


def offered(www_authenticate: Sequence[str]) -> tuple[Challenge | None, bool]:
    """The strongest Digest challenge that can be answered, and whether Basic is offered."""
    challenges = parse_challenges(www_authenticate)
    return strongest(challenges), any(scheme == "basic" for scheme, _ in challenges)


def follow_nonce(challenge: Challenge, headers: CIMultiDictProxy[str]) -> None:
    """Take over the nonce that the server wants to see next, if it names one."""
    information = headers.get("Authentication-Info")
    if information is not None and (nonce := parse_parameters(information).get("nextnonce")):
        challenge.renew(nonce)
