"""Names that the system looks up, and name servers that do not answer."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from calendarsync.net import AddressRefused, ConnectFailed, HttpClient, Timeout
from calendarsync.net.names import SystemResolver

LOOPBACK = ip_network("127.0.0.0/8")


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Name servers of hang.example.com never answer; the names that they were asked for."""
    asked: list[str] = []
    over = threading.Event()
    ask = socket.getaddrinfo

    def hang(host: str, *given: Any, **options: Any) -> Any:
        if host.endswith("hang.example.com"):
            asked.append(host)
            over.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return ask(host, *given, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield asked
    over.set()


async def test_name_servers_that_hang_take_nothing_from_others(hanging: list[str]) -> None:
    async with (
        HttpClient(max_lookups=40) as receivers,
        HttpClient(allowed_private_networks=[LOOPBACK]) as calendars,
    ):
        errors = await asyncio.gather(
            *(
                receivers.request("GET", f"https://{number}.hang.example.com/", timeout_seconds=0.5)
                for number in range(40)
            ),
            return_exceptions=True,
        )
        assert {type(error) for error in errors} == {Timeout}
        assert len(hanging) == 40
        # Their threads are occupied still.
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(lambda: "work") == "work"
            await calendars.judge("http://localhost:1/")


async def test_what_the_system_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = SystemResolver(1)
    try:
        for address, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
            answer = [(family, socket.SOCK_STREAM, 6, "", (address, 443, 0, 0))]
            with monkeypatch.context() as patch:
                patch.setattr(socket, "getaddrinfo", lambda *_, answer=answer, **__: answer)
                (found,) = await resolver.resolve("name.example.com", 443)
            assert (found["hostname"], found["host"], found["port"]) == ("name.example.com", address, 443)
            assert (found["family"], found["proto"]) == (family, 6)
    finally:
        await resolver.close()


async def test_a_name_that_does_not_exist_and_one_that_leads_inside() -> None:
    async with HttpClient() as client:
        with pytest.raises(ConnectFailed):
            await client.request("GET", "https://no-such-name.invalid/")
        with pytest.raises(AddressRefused):
            await client.request("GET", "https://localhost/")
