"""Servers that stall, hang up and talk nonsense."""

import asyncio
import time

import pytest
from aiohttp import web

from calendarsync.net import ConnectFailed, NetError, ProtocolError, Timeout
from tests.net.conftest import RawHandler, Servers


def answering(data: bytes) -> RawHandler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()

    return handle


def dripping(data: bytes) -> RawHandler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    return handle


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def failure(servers: Servers, handler: RawHandler) -> NetError:
    port = await servers.raw(handler)
    client = await servers.client()
    with pytest.raises(NetError) as caught:
        await client.request("GET", f"http://127.0.0.1:{port}/key", timeout_seconds=0.3)
    assert "key" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
    ],
)
async def test_drops_that_never_end(servers: Servers, data: bytes) -> None:
    started = time.monotonic()
    error = await failure(servers, dripping(data))
    assert isinstance(error, (Timeout, ProtocolError) if not data else Timeout)
    assert time.monotonic() - started < 2


async def test_silence_after_connecting(servers: Servers) -> None:
    error = await failure(servers, silent)
    assert (type(error), error.code, str(error)) == (Timeout, "timeout", "127.0.0.1 did not answer in time.")


async def test_silence_between_reads_ends_before_the_whole_time_is_up(servers: Servers) -> None:
    port = await servers.raw(silent)
    client = await servers.client(read_timeout_seconds=0.1)
    started = time.monotonic()
    with pytest.raises(Timeout):
        await client.request("GET", f"http://127.0.0.1:{port}/", timeout_seconds=30)
    assert time.monotonic() - started < 5


async def test_silence_in_the_tls_handshake(servers: Servers) -> None:
    port = await servers.raw(silent)
    client = await servers.client(connect_timeout_seconds=0.1)
    started = time.monotonic()
    with pytest.raises(Timeout):
        await client.request("GET", f"https://127.0.0.1:{port}/", timeout_seconds=30)
    assert time.monotonic() - started < 5


async def test_redirects_share_the_time(servers: Servers) -> None:
    async def handle(request: web.BaseRequest) -> web.Response:
        await asyncio.sleep(0.2)
        return web.Response(status=302, headers={"Location": f"{request.path}x"})

    port = await servers.http(handle)
    client = await servers.client()
    # With as long for each of them there would be too many.
    with pytest.raises(Timeout):
        await client.request("GET", f"http://127.0.0.1:{port}/", timeout_seconds=0.5)


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"SSH-2.0-OpenSSH\r\n", ProtocolError, "malformed_response"),
        (b"HTTP/1.1 abc\r\n\r\n", ProtocolError, "malformed_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", ProtocolError, "malformed_response"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", ProtocolError, "malformed_response"),
        (b"HTTP/1.1 200 " + b"a" * 20_000 + b"\r\n\r\n", ProtocolError, "malformed_response"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 500 + b"\r\n", ProtocolError, "malformed_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", ProtocolError, "incomplete_response"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            ProtocolError,
            "incomplete_response",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab", ProtocolError, None),
        (b"", ConnectFailed, "connection_lost"),
    ],
)
async def test_nonsense(servers: Servers, data: bytes, kind: type[NetError], code: str | None) -> None:
    error = await failure(servers, answering(data))
    assert type(error) is kind
    assert code in {None, error.code}


@pytest.mark.parametrize("method", ["GET", "PROPFIND", "REPORT", "PUT"])
async def test_a_kept_connection_that_the_server_closed_is_replaced(servers: Servers, method: str) -> None:
    """The server closes after its first answer without saying so, as many do when a connection idles."""
    served: list[bytes] = []
    closed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = not served
        served.append((await reader.readuntil(b"\r\n\r\n")).split()[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")  # the next request is read and not answered
        if first:
            closed.set()

    port = await servers.raw(handle)
    client = await servers.client()
    for _ in range(2):
        assert (await client.request(method, f"http://127.0.0.1:{port}/")).status == 200
    assert closed.is_set()
    assert served == [method.encode()] * 2


async def test_a_connection_that_nobody_uses_is_closed_in_time(servers: Servers) -> None:
    closed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert await reader.read() == b""
        closed.set()

    port = await servers.raw(handle)
    client = await servers.client(keepalive_seconds=0.05)
    assert (await client.request("GET", f"http://127.0.0.1:{port}/")).status == 200
    await asyncio.wait_for(closed.wait(), 15)


async def test_a_post_is_never_sent_twice(servers: Servers) -> None:
    count = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        await reader.readuntil(b"\r\n\r\n")
        count += 1

    port = await servers.raw(handle)
    client = await servers.client()
    with pytest.raises(ConnectFailed):
        await client.request("POST", f"http://127.0.0.1:{port}/", body=b"x")
    assert count == 1


async def test_statuses_are_answers(servers: Servers) -> None:
    async def handle(request: web.BaseRequest) -> web.Response:
        return web.Response(status=int(request.path[1:]), headers={"Retry-After": "7"})

    port = await servers.http(handle)
    client = await servers.client()
    for status in (204, 304, 400, 401, 404, 412, 429, 500, 503):
        response = await client.request("GET", f"http://127.0.0.1:{port}/{status}")
        assert (response.status, response.headers["retry-after"]) == (status, "7")


@pytest.mark.parametrize(
    ("limits", "most"), [({"max_connections_per_host": 3}, 3), ({"max_connections": 2}, 2), ({}, 8)]
)
async def test_connections_are_limited(servers: Servers, limits: dict[str, int], most: int) -> None:
    now = peak = 0

    async def handle(request: web.BaseRequest) -> web.Response:
        nonlocal now, peak
        now += 1
        peak = max(peak, now)
        await asyncio.sleep(0.02)
        now -= 1
        return web.Response()

    port = await servers.http(handle)
    client = await servers.client(**limits)
    await asyncio.gather(*(client.request("GET", f"http://127.0.0.1:{port}/") for _ in range(20)))
    assert peak == most


async def test_cancelling_frees_the_connection(servers: Servers) -> None:
    waiting = asyncio.Event()

    async def handle(request: web.BaseRequest) -> web.Response:
        if not waiting.is_set():
            waiting.set()
            await asyncio.sleep(60)
        return web.Response(text="again")

    port = await servers.http(handle)
    client = await servers.client(max_connections=1)
    url = f"http://127.0.0.1:{port}/"
    task = asyncio.create_task(client.request("GET", url))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await client.request("GET", url)).body == b"again"
