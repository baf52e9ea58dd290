"""Where a request comes from."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from calendarsync.settings import Network

_NETWORK_BITS = 64  # what one site gets of IPv6 (RFC 6177, RFC 7421)

Address = IPv4Address | IPv6Address


def network_of_client(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The IPv4 address, or the /64 of the IPv6 address, of who asks.

    `forwarded` are the values of X-Forwarded-For, to whose right end each proxy adds whom it was asked by: they are
    believed from there on, for as long as it was one of the `trusted` who added them. What is no address ends it.
    """
    address = _parse(peer or "")
    if address is None:  # a peer on a socket of the file system
        return "local"
    hops = [each for value in forwarded for each in value.split(",")]
    while hops and any(address in network for network in trusted):
        before = _parse(hops.pop())
        if before is None:
            break
        address = before
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _NETWORK_BITS), strict=False))
    return str(address)


def _parse(text: str) -> Address | None:
    """An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
