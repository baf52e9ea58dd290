"""Which IP addresses a request may be sent to.

Users name the hosts that this program connects to. Without a limit they could make it speak to the machine
itself, its neighbours and the metadata service of a cloud (server-side request forgery). Only addresses of
the public internet are reachable by default; `allowed` networks open more.
"""

from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

# IANA special-purpose registry (RFC 6890), also where `ipaddress.is_global` is true or differs between
# versions.
FORBIDDEN_IPV4: tuple[IPv4Network, ...] = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this network" (RFC 791); Linux takes 0.0.0.0 for the loopback
        "10.0.0.0/8",  # private use (RFC 1918)
        "100.64.0.0/10",  # shared address space (RFC 6598)
        "127.0.0.0/8",  # loopback (RFC 1122)
        "168.63.129.16/32",  # a public address that is Azure's host service inside every virtual machine
        "169.254.0.0/16",  # link-local (RFC 3927), home of the metadata services
        "172.16.0.0/12",  # private use (RFC 1918)
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.31.196.0/24",  # AS112 (RFC 7535)
        "192.52.193.0/24",  # AMT relays (RFC 7450)
        "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
        "192.168.0.0/16",  # private use (RFC 1918)
        "192.175.48.0/24",  # AS112 (RFC 7534)
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "198.51.100.0/24",  # documentation (RFC 5737)
        "203.0.113.0/24",  # documentation (RFC 5737)
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved (RFC 1112), limited broadcast
    )
)

# All global unicast lies in 2000::/3 (RFC 4291). What is outside needs no list: loopback, unspecified,
# IPv4-compatible ::/96, NAT64 64:ff9b::/96 and 64:ff9b:1::/48, discard-only 100::/64, SRv6 5f00::/16, unique
# local fc00::/7, link-local fe80::/10, site-local fec0::/10, multicast ff00::/8.
GLOBAL_UNICAST = IPv6Network("2000::/3")
FORBIDDEN_IPV6: tuple[IPv6Network, ...] = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocol assignments: Teredo 2001::/32, benchmarking, AMT, ORCHID (RFC 2928)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4 (RFC 3056)
        "2620:4f:8000::/48",  # AS112 (RFC 7534)
        "3ffe::/16",  # the former 6bone (RFC 3701)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
NAT64_WELL_KNOWN = IPv6Network("64:ff9b::/96")
ISATAP_MASK, ISATAP = 0xFDFF_FFFF, 0x0000_5EFE  # interface id [02]00:5efe:a.b.c.d (RFC 5214 §6.1)


def is_address(host: str) -> bool:
    """Whether `host`, without brackets, is an IP address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class AddressPolicy:
    """Judges addresses: public ones and those in `allowed` may be reached; with `confined` only the latter.

    `allowed` alone decides what it covers, loopback included. An IPv4-mapped IPv6 address is judged as the
    IPv4 address it is. In a NAT64 network, which an operator opens by allowing 64:ff9b::/96, the IPv4 address
    behind the translator must be acceptable as well.
    """

    def __init__(self, allowed: Sequence[Network] = (), *, confined: bool = False) -> None:
        self._allowed_ipv4 = tuple(network for network in allowed if isinstance(network, IPv4Network))
        self._allowed_ipv6 = tuple(network for network in allowed if isinstance(network, IPv6Network))
        self._confined = confined

    def permits(self, address: str) -> bool:
        """Whether `address`, in the notation of `getaddrinfo`, may be connected to; False for other text."""
        try:
            parsed = ip_address(address)
        except (AddressValueError, ValueError):
            return False
        return self._permits_ipv4(parsed) if isinstance(parsed, IPv4Address) else self._permits_ipv6(parsed)

    def _permits_ipv4(self, address: IPv4Address) -> bool:
        if any(address in network for network in self._allowed_ipv4):
            return True
        return not self._confined and not any(address in network for network in FORBIDDEN_IPV4)

    def _permits_ipv6(self, address: IPv6Address) -> bool:
        if address.scope_id is not None:  # a zone selects an interface of this machine
            return False
        if address.ipv4_mapped is not None:
            return self._permits_ipv4(address.ipv4_mapped)
        if any(address in network for network in self._allowed_ipv6):
            return address not in NAT64_WELL_KNOWN or self._permits_ipv4(
                IPv4Address(int(address) & 0xFFFF_FFFF)
            )
        if self._confined or address not in GLOBAL_UNICAST or (int(address) >> 32) & ISATAP_MASK == ISATAP:
            return False
        return not any(address in network for network in FORBIDDEN_IPV6)
