"""Where connections lead: judged as they are made, whatever the name says."""

import asyncio
from ipaddress import ip_network

import aiohttp
import pytest
from aiohttp import web

from calendarsync.net import AddressRefused, ConnectFailed, InvalidUrl, NetError
from calendarsync.net.addresses import AddressPolicy
from calendarsync.net.connector import Limits, default_ssl_context, guarded_session
from tests.net.conftest import Servers


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text=f"{request.host} {request.raw_path}")


async def test_private_networks_are_closed_by_default(servers: Servers) -> None:
    port = await servers.http(hello)
    client = await servers.client(allowed_private_networks=())
    with pytest.raises(AddressRefused) as caught:
        await client.request("GET", f"http://127.0.0.1:{port}/secret?token=1")
    assert caught.value.code == "address_refused"
    assert str(caught.value) == "Requests to 127.0.0.1 are not allowed."


async def test_an_allowed_network_opens(servers: Servers) -> None:
    port = await servers.http(hello)
    client = await servers.client()
    response = await client.request("GET", f"http://127.0.0.1:{port}/a%40b")
    assert (response.status, response.body) == (200, f"127.0.0.1:{port} /a%40b".encode())
    assert response.url == f"http://127.0.0.1:{port}/a%40b"
    assert response.permanent_url is None


@pytest.mark.parametrize(
    "host",
    [
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::1]",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[64:ff9b::127.0.0.1]",
        "0",
    ],
)
async def test_no_spelling_of_the_loopback_is_a_way_in(servers: Servers, host: str) -> None:
    port = await servers.http(hello)
    client = await servers.client(allowed_private_networks=())
    with pytest.raises((AddressRefused, InvalidUrl)):
        await client.request("GET", f"http://{host}:{port}/")


async def test_a_mapped_address_is_judged_as_the_ipv4_address(servers: Servers) -> None:
    port = await servers.http(hello)
    client = await servers.client()
    assert (await client.request("GET", f"http://[::ffff:127.0.0.1]:{port}/")).status == 200


async def test_a_name_with_only_refused_addresses(servers: Servers) -> None:
    port = await servers.http(hello)
    servers.resolver.hosts["inside.example.com"] = [
        ("127.0.0.1", port),
        ("::1", port),
        ("169.254.169.254", port),
    ]
    client = await servers.client(allowed_private_networks=())
    with pytest.raises(AddressRefused):
        await client.request("GET", "http://inside.example.com/")


async def test_of_several_addresses_only_the_acceptable_are_tried(servers: Servers) -> None:
    refused, served = asyncio.Event(), await servers.http(hello)

    async def trap(request: web.BaseRequest) -> web.Response:
        refused.set()
        return web.Response()

    trapped = await servers.http(trap, address="127.0.0.2")
    servers.resolver.hosts["mixed.example.com"] = [("127.0.0.2", trapped), ("127.0.0.1", served)]
    client = await servers.client(allowed_private_networks=[ip_network("127.0.0.1/32")])
    assert (await client.request("GET", "http://mixed.example.com/x")).body == b"mixed.example.com /x"
    assert not refused.is_set()


async def test_an_acceptable_address_that_is_down_is_no_reason_to_try_a_refused_one(servers: Servers) -> None:
    port = await servers.http(hello, address="127.0.0.2")
    servers.resolver.hosts["mixed.example.com"] = [("127.0.0.1", 1), ("127.0.0.2", port)]
    client = await servers.client(allowed_private_networks=[ip_network("127.0.0.1/32")])
    with pytest.raises(ConnectFailed) as caught:
        await client.request("GET", "http://mixed.example.com/")
    assert caught.value.code == "connection_refused"


async def test_a_name_that_changes_its_address_is_judged_again(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calendarsync.net.connector.DNS_CACHE_SECONDS", 0)
    port = await servers.http(hello)
    servers.resolver.hosts["rebind.example.com"] = [("127.0.0.1", port)]
    client = await servers.client(allowed_private_networks=[ip_network("127.0.0.1/32")])

    async def request() -> int:
        return (
            await client.request("GET", "http://rebind.example.com/", headers={"Connection": "close"})
        ).status

    assert await request() == 200
    servers.resolver.hosts["rebind.example.com"] = [("127.0.0.2", port)]
    with pytest.raises(AddressRefused):
        await request()
    assert len(servers.resolver.asked) == 2


async def test_the_socket_is_guarded_even_if_the_resolver_is_not(servers: Servers) -> None:
    """Every way to an address ends at the socket, past whatever a resolver or a cache let through."""
    port = await servers.http(hello)
    servers.resolver.hosts["inside.example.com"] = [("127.0.0.1", port), ("127.0.0.2", port)]
    limits = Limits(9, 9, connect_timeout_seconds=5, read_timeout_seconds=5, keepalive_seconds=5)
    session = guarded_session(AddressPolicy(), servers.resolver, default_ssl_context(), limits, "test")
    connector = session.connector
    assert isinstance(connector, aiohttp.TCPConnector)
    connector._resolver = servers.resolver
    async with session:
        for url in (f"http://127.0.0.1:{port}/", "http://inside.example.com/"):
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(url)


async def test_a_redirect_is_judged_too(servers: Servers) -> None:
    inside = await servers.http(hello, address="127.0.0.2")

    async def redirect(request: web.BaseRequest) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"]})

    port = await servers.http(redirect)
    servers.resolver.hosts["inside.example.com"] = [("127.0.0.2", None)]
    client = await servers.client(allowed_private_networks=[ip_network("127.0.0.1/32")])
    for target in (
        f"http://127.0.0.2:{inside}/",
        f"http://[::ffff:127.0.0.2]:{inside}/",
        f"//inside.example.com:{inside}/",
        "http://169.254.169.254/latest/meta-data/",
    ):
        with pytest.raises(AddressRefused):
            await client.request("GET", f"http://127.0.0.1:{port}/?to={target}")
    for target in ("file:///etc/passwd", "http://2130706434/", "http://user:pass@127.0.0.1/"):
        with pytest.raises(InvalidUrl):
            await client.request("GET", f"http://127.0.0.1:{port}/?to={target}")


async def test_confined_reaches_only_the_allowed_networks(servers: Servers) -> None:
    port = await servers.http(hello)
    servers.resolver.hosts |= {
        "public.example.com": [("1.1.1.1", None)],
        "nas.example.com": [("127.0.0.1", port)],
    }
    client = await servers.client()
    for url in ("http://1.1.1.1/", "https://public.example.com/", "http://[2606:4700::1111]/"):
        with pytest.raises(AddressRefused):
            await client.request("GET", url, confined=True)
    assert (await client.request("GET", "http://nas.example.com/", confined=True)).status == 200


async def test_confined_and_open_requests_share_no_connection(servers: Servers) -> None:
    peers: set[object] = set()

    async def note(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response()

    port = await servers.http(note)
    client = await servers.client()
    for confined in (False, True, False, True):
        await client.request("GET", f"http://127.0.0.1:{port}/", confined=confined)
    assert len(peers) == 2


async def test_proxies_of_the_environment_are_ignored(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await servers.http(hello)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = await servers.client()
    assert (await client.request("GET", f"http://127.0.0.1:{port}/")).status == 200


async def test_unknown_and_closed_hosts(servers: Servers) -> None:
    client = await servers.client()
    codes = []
    for url in ("https://nowhere.example.com/key=1", "http://127.0.0.1:1/key=1"):
        with pytest.raises(ConnectFailed) as caught:
            await client.request("GET", url)
        assert "key" not in str(caught.value)
        codes.append(caught.value.code)
    assert codes == ["dns_failed", "connection_refused"]


async def test_the_real_resolver_is_guarded(servers: Servers) -> None:
    port = await servers.http(hello)
    client = await servers.client(resolver=None)
    assert (await client.request("GET", f"http://localhost:{port}/")).status == 200
    closed = await servers.client(resolver=None, allowed_private_networks=())
    with pytest.raises(AddressRefused):
        await closed.request("GET", f"http://localhost:{port}/")


async def test_a_closed_client_stays_closed(servers: Servers) -> None:
    client = await servers.client()
    await client.close()
    await client.close()
    with pytest.raises(RuntimeError):
        await client.request("GET", "http://127.0.0.1/")


def test_errors_speak_for_themselves() -> None:
    error = NetError("timeout", "It took too long.")
    assert (error.code, error.message, str(error)) == ("timeout", "It took too long.", "It took too long.")
