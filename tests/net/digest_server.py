"""The server's side of Digest (RFC 7616 §3.4), written from the RFC and apart from the client's code."""

import hashlib
from urllib.request import parse_http_list, parse_keqv_list

from aiohttp import web


class DigestServer:
    """Knows one user; counts requests, and checks that no nonce count comes twice."""

    realm = 'cal "home"'

    def __init__(self, algorithm: str = "SHA-256", qop: str | None = "auth", extra: str = "") -> None:
        self.algorithm, self.qop, self.extra = algorithm, qop, extra
        self.username, self.password = "ann", "sécret"
        self.nonce = "nonce-1"
        self.next_nonce: str | None = None
        self.stale = False
        self.seen: list[str] = []
        self.counts: set[tuple[str, str]] = set()

    def hash(self, text: str) -> str:
        name = "sha256" if self.algorithm.lower().startswith("sha-256") else "md5"
        return hashlib.new(name, text.encode()).hexdigest()

    def challenge(self) -> str:
        realm = self.realm.replace('"', '\\"')
        qop = f', qop="{self.qop}"' if self.qop else ""
        stale = ", stale=true" if self.stale else ""
        head = f'Digest realm="{realm}", nonce="{self.nonce}"'
        return f'{head}, algorithm={self.algorithm}, opaque="o,p"{qop}{stale}{self.extra}'

    def accepts(self, method: str, target: str, authorization: str) -> bool:
        scheme, _, rest = authorization.partition(" ")
        if scheme != "Digest":
            return False
        fields = parse_keqv_list(parse_http_list(rest))
        user = self.hash(f"{self.username}:{self.realm}") if "userhash=true" in self.extra else self.username
        a1 = self.hash(f"{self.username}:{self.realm}:{self.password}")
        if self.algorithm.lower().endswith("-sess"):
            a1 = self.hash(f"{a1}:{fields['nonce']}:{fields['cnonce']}")
        a2 = self.hash(f"{method}:{target}")
        if self.qop:
            assert len(fields["nc"]) == 8
            assert (fields["nonce"], fields["nc"]) not in self.counts
            self.counts.add((fields["nonce"], fields["nc"]))
            assert fields["qop"] == "auth"
            expected = self.hash(f"{a1}:{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth:{a2}")
        else:
            assert not {"nc", "cnonce", "qop"} & fields.keys()
            expected = self.hash(f"{a1}:{fields['nonce']}:{a2}")
        name = fields["username"].replace('\\"', '"').replace("\\\\", "\\")
        return (
            (name, fields["uri"], fields["opaque"]) == (user, target, "o,p")
            and fields["realm"].replace('\\"', '"') == self.realm
            and (fields["nonce"], fields["response"]) == (self.nonce, expected)
        )

    async def handle(self, request: web.BaseRequest) -> web.Response:
        await request.read()
        authorization = request.headers.get("Authorization", "")
        self.seen.append(authorization.partition(" ")[0])
        if not self.accepts(request.method, request.raw_path, authorization):
            return web.Response(status=401, headers={"WWW-Authenticate": self.challenge()}, text="who?")
        headers = {}
        if self.next_nonce:
            headers["Authentication-Info"] = f'nextnonce="{self.next_nonce}", qop=auth'
            self.nonce, self.next_nonce = self.next_nonce, None
        return web.Response(text="in", headers=headers)
