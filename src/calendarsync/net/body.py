"""Reading a response body within a limit."""

import zlib

import aiohttp

from calendarsync.net.errors import ProtocolError, TooLarge

# One gzip body may be several members (RFC 1952 §2.2); millions of empty ones would only burn time.
MAX_GZIP_MEMBERS = 1000
GZIP_WINDOW = 16 + zlib.MAX_WBITS


async def read_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The decoded body, at most `max_bytes` of it before and after decompression, or TooLarge.

    Only gzip is asked for and understood; its output grows under the limit, chunk by chunk, so that a small
    answer that unpacks to gigabytes never takes more memory than the limit.
    """
    if (response.content_length or 0) > max_bytes and response.method != "HEAD":
        raise _too_large(max_bytes)
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    sink = _Plain(max_bytes) if coding in {"identity", ""} else _Gzip(max_bytes, coding)
    received = 0
    while chunk := await response.content.readany():
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(max_bytes)
        sink.feed(chunk)
    return sink.finish()


async def read_beginning(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """At most `max_bytes` of the body; empty where it is compressed. What follows is never received."""
    received = bytearray()
    while len(received) < max_bytes and (chunk := await response.content.readany()):
        received += chunk
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    return bytes(received[:max_bytes]) if coding in {"identity", ""} else b""


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge("too_large", f"The response is larger than {max_bytes:,} bytes.")


class _Plain:
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes  # kept by the caller, who counts what was received
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        self._parts.append(chunk)

    def finish(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


class _Gzip(_Plain):
    def __init__(self, max_bytes: int, coding: str) -> None:
        super().__init__(max_bytes)
        self._supported = coding in {"gzip", "x-gzip"}
        self._room = max_bytes
        self._members = 0
        self._inflater: zlib._Decompress | None = None

    def feed(self, chunk: bytes) -> None:
        if not self._supported:  # an empty body, as to HEAD or in a 304, never comes here
            raise ProtocolError(
                "unsupported_encoding", "The server sent a compression that was not asked for."
            )
        while chunk:
            if self._inflater is None:
                chunk = self._begin_member(chunk)
                if self._inflater is None:
                    return
            chunk = self._inflate(self._inflater, chunk)

    def _begin_member(self, chunk: bytes) -> bytes:
        if self._members:
            chunk = chunk.lstrip(b"\0")  # padding between members and at the end
        if chunk:
            self._members += 1
            if self._members > MAX_GZIP_MEMBERS:
                raise ProtocolError("invalid_encoding", "The compressed response is damaged.")
            self._inflater = zlib.decompressobj(GZIP_WINDOW)
        return chunk

    def _inflate(self, inflater: "zlib._Decompress", chunk: bytes) -> bytes:
        try:
            data = inflater.decompress(chunk, self._room + 1)  # 0 would mean no limit
        except zlib.error:
            raise ProtocolError("invalid_encoding", "The compressed response is damaged.") from None
        self._room -= len(data)
        if self._room < 0:
            raise _too_large(self._max_bytes)
        if data:
            self._parts.append(data)
        if not inflater.eof:
            return inflater.unconsumed_tail
        self._inflater = None
        return inflater.unused_data

    def finish(self) -> bytes:
        if self._inflater is not None:
            raise ProtocolError("incomplete_response", "The response broke off before its end.")
        return super().finish()
