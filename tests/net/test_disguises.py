"""No disguise of a forbidden address is a way in: not for the client, a redirect, nor a webhook.

That nothing was connected to is seen twice: by the interpreter's own audit of every `connect`, and by servers
that listen where the disguises lead.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_network
from urllib.parse import quote

import pytest
from aiohttp import web

from calendarsync.net import HttpClient, InvalidUrl, NetError, parse_url
from calendarsync.net.addresses import AddressPolicy
from calendarsync.net.connector import GuardedResolver, RefusedByPolicyError
from calendarsync.secrets import Keyring
from calendarsync.store.deliveries import Delivery
from calendarsync.store.webhooks import seal
from calendarsync.webhooks.delivery import Sender
from calendarsync.webhooks.signing import new_secret
from tests.api.world import build, close
from tests.net.conftest import Servers
from tests.net.disguises import COUNT, NAMES, SPELLINGS, AttackersNames, connections

ALLOWED = "127.0.0.3/32,127.0.0.4/32"
MAY_BE_CONNECTED_TO = {"127.0.0.3", "127.0.0.4"}
HOSTS = [*(each for spellings in SPELLINGS.values() for each in spellings), *NAMES]


@dataclass
class Canaries:
    """What listens on 127.0.0.1, 127.0.0.2 and ::1, on one port."""

    port: int
    sockets: list[socket.socket]

    @property
    def touched(self) -> bool:
        for each in self.sockets:
            with suppress(BlockingIOError):
                each.accept()[0].close()
                return True
        return False

    def url(self, host: str) -> str:
        return f"http://{host}:{self.port}/"


@pytest.fixture
def canaries() -> Iterator[Canaries]:
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_server(("127.0.0.2", 0)))
        port = first.getsockname()[1]
        second = stack.enter_context(socket.create_server(("127.0.0.1", port)))
        third = stack.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6))
        for each in (first, second, third):
            each.setblocking(False)
        yield Canaries(port, [first, second, third])


@pytest.fixture
async def names() -> AsyncIterator[AttackersNames]:
    names = AttackersNames()
    yield names
    await names.close()


@pytest.fixture
async def client(names: AttackersNames, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpClient]:
    monkeypatch.setattr("calendarsync.net.connector.DNS_CACHE_SECONDS", 0)
    networks = [ip_network(each) for each in ALLOWED.split(",")]
    async with HttpClient(allowed_private_networks=networks, resolver=names) as client:
        yield client


def check(seen: list[tuple[object, ...]], canaries: Canaries) -> None:
    assert {str(address[0]) for address in seen} <= MAY_BE_CONNECTED_TO
    assert not canaries.touched


def test_there_are_many() -> None:
    assert len(set(HOSTS)) == COUNT > 60


async def test_no_request_goes_there(client: HttpClient, names: AttackersNames, canaries: Canaries) -> None:
    with connections() as seen:
        for host in HOSTS:
            for scheme in ("http", "https"):
                for _ in range(2):  # the second time, an attacker's name may have moved
                    with pytest.raises(NetError):
                        await client.request("GET", f"{scheme}://{host}:{canaries.port}/", timeout_seconds=5)
    check(seen, canaries)
    assert len(names.moved) == sum(later is not None for _, later in NAMES.values()) == 3


async def test_no_redirect_leads_there(servers: Servers, client: HttpClient, canaries: Canaries) -> None:
    async def redirect(request: web.BaseRequest) -> web.Response:
        response = web.Response(status=int(request.query["status"]))
        # As bytes: what a server sends need not be ASCII.
        response.headers["Location"] = request.query["to"].encode().decode("utf-8", "surrogateescape")
        return response

    port = await servers.http(redirect, address="127.0.0.3")
    reached = 0
    with connections() as seen:
        for host in HOSTS:
            if set(host) & set("\r\n"):
                continue  # no header can hold them
            for target in (canaries.url(host), f"//{host}:{canaries.port}/"):
                for status in (301, 307):
                    url = f"http://127.0.0.3:{port}/?status={status}&to={quote(target, safe='')}"
                    with pytest.raises(NetError):
                        await client.request("GET", url, timeout_seconds=5)
                    reached += 1
    assert reached > 4 * 60
    check(seen, canaries)
    assert ("127.0.0.3", port) in seen


async def test_no_webhook_is_registered_there(
    database_url: str, client: HttpClient, canaries: Canaries
) -> None:
    """Names that may move, have an acceptable address as well, or lead nowhere: they are judged again later."""
    world = await build(database_url, networks=ALLOWED)
    own, taken = world.services.http, set()
    world.services = world.app.state.services = replace(world.services, http=client)
    caller = await world.client()
    with connections() as seen:
        for host in HOSTS:
            for scheme in ("http", "https"):
                url = f"{scheme}://{host}:{canaries.port}/"
                answer = await caller.post("/api/v1/webhooks", {"url": url})
                if answer.status == 201:
                    taken.add(host)
                    await caller.delete(answer.headers["location"])
                else:
                    assert (answer.status, answer.fields) == (422, {"url"}), (host, answer.body)
    await own.close()
    await close(world)
    nowhere = {"١٢٧.٠.٠.٢"}  # digits of a name, and not of an address
    taken.discard("localhost.")  # which not every system knows
    assert taken == {host for host in HOSTS if host.startswith(("rebinding", "mixed"))} | nowhere
    # The database is asked over a socket as well.
    check([address for address in seen if canaries.port in address], canaries)


async def test_no_webhook_is_delivered_there(client: HttpClient, canaries: Canaries) -> None:
    """Whatever stands in the database."""
    keyring = Keyring([b"a secret that only tests know and nobody else"])
    sender = Sender(keyring, client, lambda: datetime(2026, 3, 28, 10, tzinfo=UTC), timeout_seconds=5)
    outcomes = set()
    with connections() as seen:
        for host in HOSTS:
            for scheme in ("http", "https"):
                for mode in ("live", "test"):
                    answer = await sender.send(
                        _delivery(keyring, f"{scheme}://{host}:{canaries.port}/", mode)
                    )
                    assert answer.status is None, host
                    outcomes.add(answer.error)
    check(seen, canaries)
    # `connection_failed`: names that lead to an acceptable address as well, or nowhere.
    assert outcomes == {"address_refused", "connection_failed"}


@pytest.mark.parametrize("status", [301, 303, 307])
async def test_nor_does_a_delivery_follow_a_redirect_there(
    servers: Servers, client: HttpClient, canaries: Canaries, status: int
) -> None:
    async def redirect(request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, headers={"Location": canaries.url("127.0.0.2")})

    keyring = Keyring([b"a secret that only tests know and nobody else"])
    sender = Sender(keyring, client, lambda: datetime(2026, 3, 28, 10, tzinfo=UTC))
    port = await servers.http(redirect, address="127.0.0.3")
    with connections() as seen:
        answer = await sender.send(_delivery(keyring, f"http://127.0.0.3:{port}/", "live"))
    assert (answer.status, answer.error) == (status, "status")
    check(seen, canaries)


def _delivery(keyring: Keyring, url: str, mode: str) -> Delivery:
    return Delivery(
        id="dlv_1",
        generation=1,
        webhook_id="whk_1",
        attempts=(),
        event_id="evt_1",
        type="webhook.test",
        created_at=datetime(2026, 3, 28, 10, tzinfo=UTC),
        data={},
        account_id="acct_1",
        mode=mode,
        url_encrypted=seal(keyring, "whk_1", url),
        format="event",
        secret_encrypted=seal(keyring, "whk_1", new_secret()),
        previous_secret_encrypted=None,
        previous_until=None,
    )


async def test_where_the_disguises_lead_something_listens(
    client: HttpClient, canaries: Canaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the guard most of them get there: the checks above could fail."""
    monkeypatch.setattr(AddressPolicy, "permits", lambda policy, address: True)
    led = []
    for host in HOSTS:
        with suppress(NetError):
            await client.request("GET", canaries.url(host), timeout_seconds=0.05)
        if canaries.touched:
            led.append(host)
    assert {"127.0.0.2", "[::1]", "[::ffff:127.0.0.2]", "localhost", "inside.example.com"} <= set(led)
    assert len(led) > 20


async def test_past_the_reading_of_addresses_the_guard_holds_by_itself(
    names: AttackersNames, canaries: Canaries
) -> None:
    """What no URL may hold is still refused where names become addresses, should it ever get so far."""
    for host in ("2130706434", "0x7f.2", "0177.0.0.2", "127.2", "0", "localhost", "inside.example.com"):
        assert await names.resolve(host, canaries.port), host
        with pytest.raises(RefusedByPolicyError):
            await GuardedResolver(names, AddressPolicy()).resolve(host, canaries.port)


def test_most_spellings_are_not_even_read() -> None:
    unread = 0
    for host in HOSTS:
        try:
            parse_url(f"http://{host}/")
        except InvalidUrl:
            unread += 1
    assert unread > 60
