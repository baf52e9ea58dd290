"""HTTP Digest access authentication, the client's side: RFC 7616, and RFC 2069 where no qop is offered."""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from urllib.parse import quote

from calendarsync.net.credentials import BasicCredentials

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - grammar, no secret
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+|$|(?=,))")
_SEPARATOR = re.compile(r"[ \t,]*")
_ESCAPED = re.compile(r"\\(.)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Strongest first (RFC 7616 §3.7). MD5 is what old servers speak, and the password itself is still never sent.
ALGORITHMS = ("SHA-256", "SHA-256-SESS", "MD5", "MD5-SESS")


class Challenge:
    """A `Digest` challenge and the count of the requests that answered its nonce."""

    def __init__(self, parameters: dict[str, str]) -> None:
        self.realm = parameters.get("realm", "")
        self.nonce = parameters.get("nonce", "")
        self.opaque = parameters.get("opaque")
        self.algorithm = parameters.get("algorithm", "MD5")
        self._offers_qop = "qop" in parameters
        self._qops = {qop.strip().lower() for qop in parameters.get("qop", "").split(",")}
        self._hashes_user = parameters.get("userhash", "").lower() == "true"
        self._utf8 = parameters.get("charset", "").upper() == "UTF-8"
        self._cnonce = secrets.token_hex(16)
        self._count = 0

    @property
    def supported(self) -> bool:
        """Whether `authorization` can answer this challenge; qop=auth-int alone, for one, it cannot."""
        if not self.nonce or self.algorithm.upper() not in ALGORITHMS:
            return False
        if self._offers_qop:
            return "auth" in self._qops
        return not self.algorithm.upper().endswith("-SESS")  # needs a cnonce, which needs a qop

    def renew(self, nonce: str) -> None:
        """Go on with the `nextnonce` of an Authentication-Info header (RFC 7616 §3.5)."""
        self.nonce, self._count, self._cnonce = nonce, 0, secrets.token_hex(16)

    def authorization(self, method: str, uri: str, credentials: BasicCredentials) -> str:
        """The value of the Authorization header for one request; `uri` is the request target as sent."""
        digest = _hasher(self.algorithm)
        a1 = f"{credentials.username}:{self.realm}:{credentials.password}"
        key = digest(a1)
        if self.algorithm.upper().endswith("-SESS"):
            key = digest(f"{key}:{self.nonce}:{self._cnonce}")
        request = digest(f"{method}:{uri}")
        fields = [self._user(credentials.username, digest), f"realm={_quoted(self.realm)}"]
        fields += [f"nonce={_quoted(self.nonce)}", f"uri={_quoted(uri)}", f"algorithm={self.algorithm}"]
        if self._offers_qop:
            self._count += 1
            count = f"{self._count:08x}"
            response = digest(f"{key}:{self.nonce}:{count}:{self._cnonce}:auth:{request}")
            fields += ["qop=auth", f"nc={count}", f'cnonce="{self._cnonce}"']
        else:
            response = digest(f"{key}:{self.nonce}:{request}")
        fields.append(f'response="{response}"')
        if self.opaque is not None:
            fields.append(f"opaque={_quoted(self.opaque)}")
        if self._hashes_user:
            fields.append("userhash=true")
        return "Digest " + ", ".join(fields)

    def _user(self, username: str, digest: Callable[[str], str]) -> str:
        if self._hashes_user:
            return f'username="{digest(f"{username}:{self.realm}")}"'
        if self._utf8 and not username.isascii():  # RFC 7616 §3.4, RFC 8187
            return f"username*=UTF-8''{quote(username, safe='')}"
        return f"username={_quoted(username)}"


def strongest(challenges: Iterable[tuple[str, dict[str, str]]]) -> Challenge | None:
    """The best of the Digest challenges that can be answered."""
    digests = [Challenge(parameters) for scheme, parameters in challenges if scheme == "digest"]
    supported = [challenge for challenge in digests if challenge.supported]
    return min(supported, key=lambda challenge: ALGORITHMS.index(challenge.algorithm.upper()), default=None)


def parse_challenges(headers: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    """The challenges of `WWW-Authenticate` headers (RFC 9110 §11.6.1), each a scheme and its parameters.

    Names are lower-cased. One header may hold several; what is not understood ends the reading of its header.
    """
    challenges: list[tuple[str, dict[str, str]]] = []
    for header in headers:
        position = _skip(header, 0)
        parameters: dict[str, str] | None = None
        while position < len(header):
            if parameters is not None and (found := _PARAMETER.match(header, position)):
                quoted = found[2]
                parameters[found[1].lower()] = found[3] if quoted is None else _ESCAPED.sub(r"\1", quoted)
            elif found := _SCHEME.match(header, position):
                parameters = {}
                challenges.append((found[1].lower(), parameters))
            else:
                break
            position = _skip(header, found.end())
    return challenges


def parse_parameters(header: str) -> dict[str, str]:
    """The parameters of an Authentication-Info header, which names no scheme."""
    return parse_challenges([f"Digest {header}"])[0][1]


def _skip(header: str, position: int) -> int:
    found = _SEPARATOR.match(header, position)
    return found.end() if found else position


def _quoted(text: str) -> str:
    text = _CONTROL.sub("", text)  # has no form in a header; the server will not know the name
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _hasher(algorithm: str) -> Callable[[str], str]:
    function = hashlib.sha256 if algorithm.upper().startswith("SHA-256") else hashlib.md5

    def digest(text: str) -> str:
        return function(text.encode(), usedforsecurity=False).hexdigest()

    return digest
