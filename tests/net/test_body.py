import asyncio
import gzip
import tracemalloc
import zlib

import pytest
from aiohttp import web

from calendarsync.net import ProtocolError, TooLarge
from tests.net.conftest import Servers

MIB = 1024 * 1024


class Content:
    """Serves `body` as it stands, with `headers`, chunked where no length is given."""

    def __init__(self, body: bytes = b"", **headers: str) -> None:
        self.body = body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.accept_encoding: str | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.accept_encoding = request.headers.get("Accept-Encoding")
        response = web.StreamResponse(headers=self.headers)
        await response.prepare(request)
        try:
            for start in range(0, len(self.body), MIB):
                await response.write(self.body[start : start + MIB])
            await response.write_eof()
        except ConnectionError:
            pass
        return response


async def get(servers: Servers, content: Content, *, method: str = "GET", max_bytes: int = MIB) -> bytes:
    port = await servers.http(content.handle)
    client = await servers.client()
    return (await client.request(method, f"http://127.0.0.1:{port}/", max_bytes=max_bytes)).body


@pytest.mark.parametrize("size", [0, 1, 70_000, MIB])
@pytest.mark.parametrize("coding", [None, "identity", "gzip", "x-gzip", "GZIP"])
async def test_bodies_up_to_the_limit(servers: Servers, size: int, coding: str | None) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    compressed = coding is not None and "gzip" in coding.lower()
    content = Content(gzip.compress(body) if compressed else body)
    if coding:
        content.headers["Content-Encoding"] = coding
    assert await get(servers, content) == body
    assert content.accept_encoding == "gzip"


@pytest.mark.parametrize("length", [True, False])
async def test_a_body_over_the_limit(servers: Servers, length: bool) -> None:
    content = Content(b"x" * (MIB + 1))
    if length:
        content.headers["Content-Length"] = str(MIB + 1)
    with pytest.raises(TooLarge) as caught:
        await get(servers, content)
    assert (caught.value.code, str(caught.value)) == (
        "too_large",
        "The response is larger than 1,048,576 bytes.",
    )


async def test_50_mb_end_at_the_limit(servers: Servers) -> None:
    with pytest.raises(TooLarge):
        await get(servers, Content(b"x" * 50_000_000), max_bytes=16 * MIB)


async def test_a_gzip_bomb_takes_no_more_memory_than_the_limit(servers: Servers) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(16 * MIB)
    bomb = b"".join([packer.compress(zeros) for _ in range(16)] + [packer.flush()])  # 256 MiB in 256 kB
    assert len(bomb) < MIB // 2
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            await get(servers, Content(bomb, Content_Encoding="gzip"), max_bytes=4 * MIB)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


async def test_gzip_in_members_with_padding(servers: Servers) -> None:
    body = gzip.compress(b"BEGIN") + gzip.compress(b"") + b"\0\0" + gzip.compress(b":VCALENDAR") + b"\0" * 512
    assert await get(servers, Content(body, Content_Encoding="gzip")) == b"BEGIN:VCALENDAR"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"BEGIN:VCALENDAR", "invalid_encoding"),
        (gzip.compress(b"x" * 9000)[:-9], "incomplete_response"),
        (gzip.compress(b"x") + b"garbage", "invalid_encoding"),
        (gzip.compress(b"x")[:-5] + b"\xff\xff\xff\xff\xff", "invalid_encoding"),
        (gzip.compress(b"") * 1001, "invalid_encoding"),
    ],
)
async def test_damaged_gzip(servers: Servers, body: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        await get(servers, Content(body, Content_Encoding="gzip"))
    assert caught.value.code == code


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "rot13"])
async def test_what_was_not_asked_for_is_refused(servers: Servers, coding: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        await get(servers, Content(b"x", Content_Encoding=coding))
    assert caught.value.code == "unsupported_encoding"


async def test_head_has_no_body(servers: Servers) -> None:
    content = Content(Content_Encoding="gzip", Content_Length=str(50 * MIB))
    assert await get(servers, content, method="HEAD") == b""


async def test_a_large_request_body_arrives(servers: Servers) -> None:
    received = b""

    async def handle(request: web.BaseRequest) -> web.Response:
        nonlocal received
        received = await request.read()
        return web.Response(status=201)

    runner_limit = 900_000  # aiohttp's servers take 1 MiB by default; the client sends more in pieces
    port = await servers.http(handle)
    client = await servers.client()
    response = await client.request("PUT", f"http://127.0.0.1:{port}/", body=b"y" * runner_limit)
    assert (response.status, len(received)) == (201, runner_limit)

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        head = await reader.readuntil(b"\r\n\r\n")
        received = await reader.readexactly(3 * MIB)
        assert b"Content-Length: 3145728" in head
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    port = await servers.raw(count)
    response = await client.request("PUT", f"http://127.0.0.1:{port}/", body=b"z" * (3 * MIB))
    assert (response.status, received) == (201, b"z" * (3 * MIB))
