import pytest
from aiohttp import web
from yarl import URL

from calendarsync.net import BasicCredentials
from calendarsync.net.authentication import DigestMemory
from calendarsync.net.digest import Challenge, parse_challenges, strongest
from tests.net.conftest import Servers
from tests.net.digest_server import DigestServer

ANN = BasicCredentials("ann", "sécret")

# RFC 7616 §3.9.1
RFC_CHALLENGES = [
    f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    for algorithm in ("SHA-256", "MD5")
]
RFC_RESPONSES = {
    "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    "MD5": "8ca523f5e9506fed4657c9700eebdbec",
}


@pytest.mark.parametrize("algorithm", RFC_RESPONSES)
def test_the_example_of_the_rfc(algorithm: str) -> None:
    challenges = parse_challenges(RFC_CHALLENGES)
    [parameters] = [found for _, found in challenges if found["algorithm"] == algorithm]
    challenge = Challenge(parameters)
    challenge._cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    mufasa = BasicCredentials("Mufasa", "Circle of Life")
    header = challenge.authorization("GET", "/dir/index.html", mufasa)
    assert f'response="{RFC_RESPONSES[algorithm]}"' in header
    assert "nc=00000001" in header


def test_the_strongest_supported_challenge_wins() -> None:
    found = strongest(parse_challenges(reversed(RFC_CHALLENGES)))
    assert found is not None
    assert found.algorithm == "SHA-256"


@pytest.mark.parametrize(
    ("header", "schemes"),
    [
        ('Basic realm="a", Digest realm="b, Basic c", nonce="n"', ["basic", "digest"]),
        ("Negotiate", ["negotiate"]),
        ("Negotiate, Basic", ["negotiate", "basic"]),
        ("NTLM TlRMTVNTUAAC==, Basic realm=x", ["ntlm", "basic"]),
        (' , ,BASIC realm="\\"", ', ["basic"]),
        ('Digest realm="unclosed, nonce="x', ["digest", "x"]),
        ("", []),
        ('="', []),
        ("Bearer" + " a" * 4000, ["bearer", *["a"] * 4000]),
        ("a" * 8000, ["a" * 8000]),
    ],
)
def test_challenges_are_told_apart(header: str, schemes: list[str]) -> None:
    assert [scheme for scheme, _ in parse_challenges([header])] == schemes


@pytest.mark.parametrize(
    "parameters",
    [
        'nonce="n", algorithm=SHA-512-256, qop="auth"',
        'nonce="n", qop="auth-int"',
        'nonce="n", qop=""',
        'nonce="", qop="auth"',
        'nonce="n", algorithm=MD5-sess',
    ],
)
def test_what_cannot_be_answered_is_not_tried(parameters: str) -> None:
    assert strongest(parse_challenges([f'Digest realm="r", {parameters}'])) is None


@pytest.mark.parametrize("extra", ["", ", userhash=true"])
@pytest.mark.parametrize("qop", ["auth", "auth-int, auth"])
@pytest.mark.parametrize("algorithm", ["MD5", "md5", "SHA-256", "MD5-sess", "SHA-256-sess"])
async def test_a_digest_server_lets_in(servers: Servers, algorithm: str, qop: str, extra: str) -> None:
    server = DigestServer(algorithm, qop, extra)
    port = await servers.http(server.handle)
    client = await servers.client()
    for method in ("PROPFIND", "PUT", "GET"):
        url = f"http://127.0.0.1:{port}/a%40b/?x=%22"
        response = await client.request(method, url, credentials=ANN, body=b"x" if method != "GET" else None)
        assert (response.status, response.body) == (200, b"in")
    # The first request learns of Digest; from then on each costs one round trip.
    assert server.seen == ["Basic", "Digest", "Digest", "Digest"]


async def test_a_server_without_qop(servers: Servers) -> None:
    server = DigestServer("MD5", qop=None)
    port = await servers.http(server.handle)
    client = await servers.client()
    for _ in range(2):
        assert (await client.request("GET", f"http://127.0.0.1:{port}/", credentials=ANN)).status == 200
    assert server.seen == ["Basic", "Digest", "Digest"]


@pytest.mark.parametrize("stale", [True, False])
async def test_an_outdated_nonce_is_replaced(servers: Servers, stale: bool) -> None:
    server = DigestServer()
    port = await servers.http(server.handle)
    client = await servers.client()
    url = f"http://127.0.0.1:{port}/"
    await client.request("GET", url, credentials=ANN)
    server.nonce, server.stale = "nonce-2", stale
    server.seen.clear()
    for _ in range(2):
        assert (await client.request("GET", url, credentials=ANN)).status == 200
    assert server.seen == ["Digest", "Digest", "Digest"]


async def test_the_next_nonce_is_used(servers: Servers) -> None:
    server = DigestServer()
    port = await servers.http(server.handle)
    client = await servers.client()
    for number in (2, 3, 4):
        server.next_nonce = f"nonce-{number}"
        await client.request("GET", f"http://127.0.0.1:{port}/", credentials=ANN)
    assert server.seen == ["Basic", "Digest", "Digest", "Digest"]
    assert server.counts == {(f"nonce-{number}", "00000001") for number in (1, 2, 3)}


async def test_a_wrong_password_is_tried_once(servers: Servers) -> None:
    server = DigestServer()
    port = await servers.http(server.handle)
    client = await servers.client()
    wrong = BasicCredentials("ann", "wrong")
    for seen in (["Basic", "Digest"], ["Digest"]):
        server.seen.clear()
        response = await client.request("GET", f"http://127.0.0.1:{port}/", credentials=wrong)
        assert (response.status, server.seen) == (401, seen)


async def test_users_and_names_with_quotes_share_an_origin(servers: Servers) -> None:
    server = DigestServer()
    port = await servers.http(server.handle)
    client = await servers.client()
    for name in ("ann", 'o"brien\\', "böb"):
        server.username = name
        credentials = BasicCredentials(name, server.password)
        assert (
            await client.request("GET", f"http://127.0.0.1:{port}/", credentials=credentials)
        ).status == 200
    assert server.seen == ["Basic", "Digest", "Digest", "Digest"]


async def test_a_name_in_utf8_is_sent_as_the_server_asks(servers: Servers) -> None:
    seen: list[str] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        seen.append(request.headers["Authorization"])
        challenge = 'Digest realm="r", nonce="n", qop="auth", charset=UTF-8'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    port = await servers.http(handle)
    client = await servers.client()
    await client.request("GET", f"http://127.0.0.1:{port}/", credentials=BasicCredentials("Jäsøn Doe", "x"))
    assert "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe," in seen[-1]


async def test_control_characters_reach_no_header(servers: Servers) -> None:
    server = DigestServer()
    port = await servers.http(server.handle)
    client = await servers.client()
    response = await client.request(
        "GET", f"http://127.0.0.1:{port}/", credentials=BasicCredentials("ann\r\nX: y", "x")
    )
    assert (response.status, server.seen) == (401, ["Basic", "Digest"])
    await client.request("GET", f"http://127.0.0.1:{port}/", credentials=ANN)
    response = await client.request(
        "GET", f"http://127.0.0.1:{port}/", credentials=BasicCredentials("ann\r\nX: y", "x")
    )
    assert response.status == 401


def test_the_least_recently_used_origin_is_forgotten() -> None:
    memory = DigestMemory(capacity=2)
    one, two, three = (URL(f"https://{name}.example.org/x") for name in ("one", "two", "three"))
    challenge = Challenge({"nonce": "n"})
    memory.remember(one, challenge)
    memory.remember(two, challenge)
    assert memory.get(one) is challenge
    memory.remember(three, challenge)
    assert [memory.get(url) is not None for url in (one, two, three)] == [True, False, True]
    memory.forget(one)
    assert memory.get(one) is None
    assert memory.get(URL("http://three.example.org/")) is None
