import pytest
from aiohttp import web
from yarl import URL

from calendarsync.net import BasicCredentials, InsecureCredentials, Response, TooManyRedirects
from calendarsync.net.redirects import keeps_credentials, redirected_method
from tests.net.conftest import Servers

CREDENTIALS = BasicCredentials("ann", "secret")

KEPT = [
    ("https://caldav.icloud.com/", "https://p42-caldav.icloud.com:443/"),
    ("https://example.org/a", "https://example.org/b"),
    ("https://example.org:8443/a", "https://dav.example.org:8443/b"),
    ("http://example.org/", "https://dav.example.org/"),
    ("http://nas/", "https://nas/"),
    ("http://10.0.0.1:8080/a", "http://10.0.0.1:8080/b"),
    ("https://[fd00::1]/a", "https://[fd00::1]/b"),
    ("https://a.example.co.uk/", "https://b.example.co.uk./"),
    ("https://xn--bcher-kva.de/", "https://dav.xn--bcher-kva.de/"),
    ("https://ann.github.io/", "https://x.ann.github.io/"),
]
DROPPED = [
    ("https://example.org/", "http://example.org/"),
    ("https://example.org:444/", "http://example.org:444/"),
    ("https://example.org/", "https://example.com/"),
    ("https://example.org/", "https://example.org.evil.com/"),
    ("https://example.org/", "https://badexample.org/"),
    ("https://example.org/", "https://example.org:8443/"),
    ("http://example.org/", "https://example.org:8443/"),
    ("http://example.org:8080/", "https://example.org/"),
    ("https://a.example.co.uk/", "https://b.other.co.uk/"),
    ("https://ann.github.io/", "https://eve.github.io/"),  # private section: customers of one domain
    ("https://ann.github.io/", "https://github.io/"),
    ("https://github.io/", "https://ann.github.io/"),
    ("https://a.home.lan/", "https://b.home.lan/"),  # unknown top-level domain
    ("https://nas/", "https://nas2/"),
    ("https://nas/", "https://nas./"),  # the one is completed by search domains, the other is not
    ("https://com/", "https://example.com/"),
    ("http://10.0.0.1:8080/", "http://10.0.0.1:8081/"),
    ("https://10.0.0.1/", "https://10.0.1.1/"),
    ("https://[fd00::1]/", "https://[fd00::2]/"),
    ("https://10.0.0.1/", "https://[::ffff:a00:1]/"),
]


@pytest.mark.parametrize(("source", "target"), KEPT)
def test_credentials_stay_within_a_domain(source: str, target: str) -> None:
    assert keeps_credentials(URL(source), URL(target))


@pytest.mark.parametrize(("source", "target"), DROPPED)
def test_credentials_leave_no_domain(source: str, target: str) -> None:
    assert not keeps_credentials(URL(source), URL(target))


@pytest.mark.parametrize(
    ("method", "status", "next_method"),
    [(method, status, method) for method in ("PUT", "POST", "DELETE") for status in (301, 302, 307, 308)]
    + [(method, 303, "GET") for method in ("PUT", "POST", "DELETE", "MKCALENDAR")]
    + [(method, 303, method) for method in ("GET", "HEAD", "PROPFIND", "REPORT", "OPTIONS")],
)
def test_methods(method: str, status: int, next_method: str) -> None:
    assert redirected_method(method, status) == next_method


class Site:
    """One server under many names: `/STATUS?to=URL` redirects, anything else tells what it got."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str, str, str | None]] = []
        self.content_type: str | None = None  # of the last request

    async def handle(self, request: web.BaseRequest) -> web.Response:
        body = (await request.read()).decode()
        secret = request.headers.get("Authorization") or request.headers.get("Cookie")
        self.content_type = request.headers.get("Content-Type")
        self.seen.append((request.method, request.host, request.path, body, secret))
        if request.path[1:].isdigit():
            return web.Response(
                status=int(request.path[1:]), headers={"Location": request.query["to"]}, text="moved"
            )
        return web.Response(text="here")


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
async def tls(servers: Servers, site: Site) -> int:
    names = ["caldav.icloud.com", "p42-caldav.icloud.com", "evil.example.com"]
    port = await servers.http(site.handle, tls=servers.authority.issue_cert(*names))
    plain = await servers.http(site.handle)
    servers.resolver.hosts |= {name: [("127.0.0.1", port)] for name in names}
    servers.resolver.hosts["plain.icloud.com"] = [("127.0.0.1", plain)]
    return port


async def test_icloud_hands_over_to_a_partition_with_credentials(
    servers: Servers, site: Site, tls: int
) -> None:
    client = await servers.client()
    response = await client.request(
        "PROPFIND",
        "https://caldav.icloud.com/301?to=https://p42-caldav.icloud.com:443/dav",
        body=b"<propfind/>",
        headers={"Depth": "0"},
        credentials=CREDENTIALS,
    )
    assert [entry[:4] for entry in site.seen] == [
        ("PROPFIND", "caldav.icloud.com", "/301", "<propfind/>"),
        ("PROPFIND", "p42-caldav.icloud.com", "/dav", "<propfind/>"),
    ]
    assert site.seen[0][4] == site.seen[1][4] == "Basic YW5uOnNlY3JldA=="
    assert response.url == response.permanent_url == "https://p42-caldav.icloud.com/dav"


@pytest.mark.parametrize("header", [None, {"authorization": "Bearer x"}, {"cookie": "a=b"}])
async def test_secrets_end_at_the_domain_and_do_not_come_back(
    servers: Servers, site: Site, tls: int, header: dict[str, str] | None
) -> None:
    client = await servers.client()
    response = await client.request(
        "REPORT",
        "https://caldav.icloud.com/308?to=https://evil.example.com/308%3Fto=https://caldav.icloud.com/end",
        headers=header,
        credentials=None if header else CREDENTIALS,
    )
    assert response.status == 200
    assert [(host, secret is not None) for _, host, _, _, secret in site.seen] == [
        ("caldav.icloud.com", True),
        ("evil.example.com", False),
        ("caldav.icloud.com", False),
    ]
    assert response.permanent_url is None  # the caller would send its password there


async def test_a_secret_address_is_not_taken_from_https_to_http(
    servers: Servers, site: Site, tls: int
) -> None:
    client = await servers.client()
    url = "https://caldav.icloud.com/301?to=http://plain.icloud.com/secret"
    with pytest.raises(InsecureCredentials) as caught:
        await client.request("GET", url, secret_url=True)
    assert "/secret" not in str(caught.value)
    assert len(site.seen) == 1
    sideways = "https://caldav.icloud.com/301?to=https://p42-caldav.icloud.com/secret"
    assert (await client.request("GET", sideways, secret_url=True)).status == 200


async def test_secrets_are_not_taken_from_https_to_http(servers: Servers, site: Site, tls: int) -> None:
    client = await servers.client()
    response = await client.request(
        "GET", "https://caldav.icloud.com/301?to=http://plain.icloud.com/x", credentials=CREDENTIALS
    )
    assert [(entry[1], entry[4] is None) for entry in site.seen] == [
        ("caldav.icloud.com", False),
        ("plain.icloud.com", True),
    ]
    assert response.permanent_url is None
    anonymous = await client.request("GET", "https://caldav.icloud.com/301?to=http://plain.icloud.com/x")
    assert anonymous.permanent_url is None  # nor is TLS given up for good


async def test_another_port_of_a_host_is_another_server(servers: Servers, site: Site) -> None:
    one, other = await servers.http(site.handle), await servers.http(site.handle)
    client = await servers.client()
    url = f"http://127.0.0.1:{one}/302?to=http://127.0.0.1:{other}/x"
    await client.request("GET", url, credentials=CREDENTIALS)
    assert [entry[4] is None for entry in site.seen] == [False, True]


async def test_a_feed_without_credentials_may_move_anywhere_for_good(
    servers: Servers, site: Site, tls: int
) -> None:
    client = await servers.client()

    async def get(statuses: tuple[int, int]) -> Response:
        first, second = statuses
        inner = f"https://p42-caldav.icloud.com/{second}%3Fto=https://evil.example.com/feed.ics"
        return await client.request("GET", f"https://caldav.icloud.com/{first}?to={inner}")

    assert (await get((301, 308))).permanent_url == "https://evil.example.com/feed.ics"
    for statuses in ((301, 302), (307, 308), (303, 303)):
        response = await get(statuses)
        assert (response.url, response.permanent_url) == ("https://evil.example.com/feed.ics", None)


async def test_a_write_is_carried_within_the_domain_only(servers: Servers, site: Site, tls: int) -> None:
    client = await servers.client()
    within = await client.request(
        "PUT", "https://caldav.icloud.com/307?to=https://p42-caldav.icloud.com/x", body=b"BEGIN"
    )
    assert (within.status, site.seen[-1][:4]) == (200, ("PUT", "p42-caldav.icloud.com", "/x", "BEGIN"))
    for target in ("https://evil.example.com/x", "http://plain.icloud.com/x"):
        site.seen.clear()
        outside = await client.request("PUT", f"https://caldav.icloud.com/307?to={target}", body=b"BEGIN")
        assert (outside.status, outside.headers["Location"], len(site.seen)) == (307, target, 1)


async def test_303_after_a_write_is_a_get_without_body(servers: Servers, site: Site) -> None:
    port = await servers.http(site.handle)
    client = await servers.client()
    url = f"http://127.0.0.1:{port}/303?to=/result"
    response = await client.request("POST", url, body=b"x", headers={"Content-Type": "text/calendar"})
    assert response.body == b"here"
    assert site.seen[-1][:4] == ("GET", f"127.0.0.1:{port}", "/result", "")
    assert site.content_type is None


async def test_redirects_are_left_alone_on_demand(servers: Servers, site: Site) -> None:
    port = await servers.http(site.handle)
    client = await servers.client()
    response = await client.request("GET", f"http://127.0.0.1:{port}/301?to=/x", follow_redirects=False)
    assert (response.status, response.headers["Location"], response.permanent_url) == (301, "/x", None)
    assert len(site.seen) == 1


async def test_a_redirect_without_location_is_an_answer(servers: Servers) -> None:
    async def handle(request: web.BaseRequest) -> web.Response:
        return web.Response(status=302, text="?")

    port = await servers.http(handle)
    client = await servers.client()
    assert (await client.request("GET", f"http://127.0.0.1:{port}/")).status == 302


async def test_circles_and_long_chains(servers: Servers) -> None:
    count = 0

    async def handle(request: web.BaseRequest) -> web.Response:
        nonlocal count
        count += 1
        step = int(request.path[1:] or 0)
        if "circle" in request.query_string:
            return web.Response(status=302, headers={"Location": f"/{(step + 1) % 3}?circle"})
        return web.Response(status=302 if step else 200, headers={"Location": f"/{step - 1}"})

    port = await servers.http(handle)
    client = await servers.client()
    assert (await client.request("GET", f"http://127.0.0.1:{port}/5")).status == 200
    for path, code, requests in (("6", "too_many_redirects", 6), ("0?circle", "redirect_loop", 3)):
        count = 0
        with pytest.raises(TooManyRedirects) as caught:
            await client.request("GET", f"http://127.0.0.1:{port}/{path}")
        assert (caught.value.code, count) == (code, requests)


async def test_the_page_of_a_redirect_does_not_count_against_the_limit(servers: Servers, site: Site) -> None:
    port = await servers.http(site.handle)
    client = await servers.client()
    assert (await client.request("GET", f"http://127.0.0.1:{port}/302?to=/x", max_bytes=4)).body == b"here"
