"""Which credentials go where, and how."""

import logging

import pytest
from aiohttp import web

from calendarsync.net import AddressRefused, BasicCredentials, InsecureCredentials
from tests.net.conftest import LOOPBACK, Servers
from tests.net.digest_server import DigestServer

ANN = BasicCredentials("ann", "sécret")


class BasicServer:
    def __init__(self, challenge: str | None = 'Basic realm="x"') -> None:
        self.challenge = challenge
        self.seen: list[str | None] = []

    async def handle(self, request: web.BaseRequest) -> web.Response:
        authorization = request.headers.get("Authorization")
        self.seen.append(authorization)
        if authorization == "Basic YW5uOnPDqWNyZXQ=":
            return web.Response(text="in")
        headers = {"WWW-Authenticate": self.challenge} if self.challenge else {}
        return web.Response(status=401, headers=headers)


async def test_basic_costs_one_round_trip(servers: Servers) -> None:
    server = BasicServer()
    port = await servers.http(server.handle)
    client = await servers.client()
    for _ in range(2):
        assert (await client.request("GET", f"http://127.0.0.1:{port}/", credentials=ANN)).status == 200
    assert server.seen == ["Basic YW5uOnPDqWNyZXQ="] * 2


@pytest.mark.parametrize(
    "challenge", ['Basic realm="x"', None, "Bearer", 'Digest realm="x", nonce="n", qop=auth-int']
)
async def test_a_refusal_is_returned(servers: Servers, challenge: str | None) -> None:
    server = BasicServer(challenge)
    port = await servers.http(server.handle)
    client = await servers.client()
    wrong = BasicCredentials("ann", "wrong")
    assert (await client.request("GET", f"http://127.0.0.1:{port}/", credentials=wrong)).status == 401
    assert len(server.seen) == 1


async def test_a_server_may_go_back_to_basic(servers: Servers) -> None:
    digest, basic = DigestServer(), BasicServer()
    handle = digest.handle

    async def change(request: web.BaseRequest) -> web.Response:
        return await handle(request)

    port = await servers.http(change)
    client = await servers.client()
    url = f"http://127.0.0.1:{port}/"
    assert (await client.request("GET", url, credentials=ANN)).status == 200
    handle = basic.handle
    for _ in range(2):
        assert (await client.request("GET", url, credentials=ANN)).status == 200
    assert [(seen or "").partition(" ")[0] for seen in basic.seen] == ["Digest", "Basic", "Basic"]


@pytest.fixture
def open_but_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes 127.0.0.0/8 public, to stand for hosts on the internet."""
    monkeypatch.setattr("calendarsync.net.addresses.FORBIDDEN_IPV4", ())


@pytest.mark.usefixtures("open_but_not_allowed")
@pytest.mark.parametrize("allowed", [[], ["127.0.0.9/32"]])
async def test_no_password_in_the_clear_outside_the_allowed_networks(
    servers: Servers, allowed: list[str]
) -> None:
    server = BasicServer()
    port = await servers.http(server.handle)
    client = await servers.client(allowed_private_networks=[LOOPBACK[0].__class__(net) for net in allowed])
    with pytest.raises(InsecureCredentials) as caught:
        await client.request("GET", f"http://127.0.0.1:{port}/", credentials=ANN)
    assert caught.value.code == "insecure_credentials"
    assert server.seen == [None]
    for header in ("Authorization", "cookie"):
        with pytest.raises(InsecureCredentials):
            await client.request("GET", f"http://127.0.0.1:{port}/", headers={header: "Bearer x"})
    assert server.seen == [None]
    assert (await client.request("GET", f"http://127.0.0.1:{port}/")).status == 401


@pytest.mark.usefixtures("open_but_not_allowed")
async def test_a_name_is_not_trusted_for_one_of_its_addresses(servers: Servers) -> None:
    """Where a host has an allowed and a public address, the password goes to the allowed one or nowhere."""
    server = BasicServer()
    port = await servers.http(server.handle)
    allowed = [LOOPBACK[0].__class__("127.0.0.9/32")]
    servers.resolver.hosts["mixed.example.com"] = [("127.0.0.1", port), ("127.0.0.9", 1)]
    client = await servers.client(allowed_private_networks=allowed)
    with pytest.raises(Exception, match="refused the connection"):
        await client.request("GET", "http://mixed.example.com/", credentials=ANN)
    assert server.seen == []


@pytest.mark.usefixtures("open_but_not_allowed")
async def test_digest_in_the_clear_is_answered(servers: Servers) -> None:
    server = DigestServer()
    port = await servers.http(server.handle)
    client = await servers.client(allowed_private_networks=())
    for _ in range(2):
        assert (await client.request("GET", f"http://127.0.0.1:{port}/", credentials=ANN)).status == 200
    assert server.seen == ["", "Digest", "Digest"]


async def test_refused_addresses_stay_refused_with_credentials(servers: Servers) -> None:
    client = await servers.client()
    with pytest.raises(AddressRefused):
        await client.request("GET", "http://10.0.0.1/", credentials=ANN)


async def test_two_ways_to_sign_in_at_once_are_a_mistake(servers: Servers) -> None:
    client = await servers.client()
    with pytest.raises(ValueError, match="either"):
        await client.request(
            "GET", "https://x.example/", credentials=ANN, headers={"authorization": "Bearer x"}
        )


async def test_cookies_are_not_kept(servers: Servers) -> None:
    seen: list[str | None] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "a=b; Path=/"})

    port = await servers.http(handle)
    client = await servers.client()
    for _ in range(2):
        await client.request("GET", f"http://127.0.0.1:{port}/")
    assert seen == [None, None]


async def test_no_secret_in_logs_or_reprs(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = BasicServer()
    port = await servers.http(server.handle)
    client = await servers.client()
    response = await client.request("GET", f"http://127.0.0.1:{port}/feed-key?token=key", credentials=ANN)
    with pytest.raises(AddressRefused):
        await client.request("GET", "http://10.0.0.1/feed-key", credentials=ANN)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("calendarsync")] == [
        "127.0.0.1 answered 200"
    ]
    ours = [r.getMessage() for r in caplog.records if r.name != "aiohttp.access"]  # the server's log
    shown = f"{ours}{response!r}{ANN!r}{ANN}{client!r}"
    for secret in ("key", "sécret", "YW5u"):
        assert secret not in shown
