from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.net.addresses import AddressPolicy

PUBLIC = ["1.1.1.1", "17.248.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "198.20.0.1", "223.255.255.255"]
PUBLIC += ["2606:4700::1", "2a00:1450:4001::5", "2001:4860:4860::8888", "2400:cb00::", "::ffff:1.1.1.1"]

REFUSED = {
    "this network": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "fc00::1",
        "fdff::1",
        "fd00:ec2::254",
    ],
    "shared": ["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    "link-local": ["169.254.169.254", "fe80::1", "febf::1", "fe80::1%eth0", "2606:4700::1%lo"],
    "cloud host service": ["168.63.129.16"],
    "site-local": ["fec0::1", "feff::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved and broadcast": ["240.0.0.1", "255.255.255.255", "4000::1", "e000::1", "100::1", "5f00::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarking": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "protocol assignments": ["192.0.0.1", "192.0.0.192", "2001:10::1", "2001:20::1", "3ffe::1"],
    "6to4": ["192.88.99.1", "2002:7f00:1::", "2002:101:101::1"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::ffff:6440:1"],
    "IPv4-compatible": ["::127.0.0.1", "::10.0.0.1", "::1.1.1.1"],
    "IPv4-translated": ["::ffff:0:127.0.0.1", "::ffff:0:1.1.1.1"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::1.1.1.1", "64:ff9b:1::10.0.0.1"],
    "Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "ISATAP": ["2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:7f00:1", "fe80::5efe:127.0.0.1"],
    "not an address": [
        "",
        "localhost",
        "127.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "2130706433",
        "1.1.1.1 ",
        "[::1]",
    ],
}

FORBIDDEN = [
    ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:2::/48",
        "2001:10::/28", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
        "fec0::/10", "ff00::/8",
    )
]  # fmt: skip


@st.composite
def forbidden(draw: st.DrawFn) -> tuple[IPv4Address | IPv6Address, IPv4Network | IPv6Network]:
    network = draw(st.sampled_from(FORBIDDEN))
    return network[draw(st.integers(0, network.num_addresses - 1))], network


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reachable_unless_confined(address: str) -> None:
    assert AddressPolicy().permits(address)
    assert not AddressPolicy([ip_network("127.0.0.0/8")], confined=True).permits(address)


@pytest.mark.parametrize(
    ("kind", "address"), [(kind, address) for kind, addresses in REFUSED.items() for address in addresses]
)
def test_refused(kind: str, address: str) -> None:
    assert not AddressPolicy().permits(address), kind
    # What is allowed elsewhere opens nothing here.
    assert not AddressPolicy([ip_network("11.0.0.0/8"), ip_network("2a00::/16")]).permits(address), kind


@given(forbidden())
def test_every_forbidden_network_is_refused_until_it_is_allowed(
    case: tuple[IPv4Address | IPv6Address, IPv4Network | IPv6Network],
) -> None:
    address, network = case
    assert not AddressPolicy().permits(str(address))
    assert not AddressPolicy(confined=True).permits(str(address))
    if network != ip_network("64:ff9b::/96"):
        assert AddressPolicy([network]).permits(str(address))
        assert AddressPolicy([network], confined=True).permits(str(address))


@given(forbidden())
def test_an_ipv4_address_in_ipv6_disguise_fares_like_itself(
    case: tuple[IPv4Address | IPv6Address, IPv4Network | IPv6Network],
) -> None:
    address, network = case
    if isinstance(address, IPv6Address):
        return
    number = int(address)
    mapped = IPv6Address(0xFFFF << 32 | number)
    disguises = [
        IPv6Address(number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80)),
        IPv6Address((0x20010000 << 96) | (number ^ 0xFFFF_FFFF)),
        IPv6Address((0x26064700 << 96) | (0x5EFE << 32) | number),
        IPv6Address((0x26064700 << 96) | (0x0200_5EFE << 32) | number),
        IPv6Address((0x64FF9B0001 << 80) | number),
    ]
    for disguise in [mapped, *disguises]:
        assert not AddressPolicy().permits(str(disguise))
    assert AddressPolicy([network]).permits(str(mapped))
    for disguise in disguises:
        assert not AddressPolicy([network]).permits(str(disguise))


def test_a_nat64_network_opens_only_what_is_acceptable_behind_it() -> None:
    nat64 = ip_network("64:ff9b::/96")
    assert AddressPolicy([nat64]).permits("64:ff9b::1.1.1.1")
    assert not AddressPolicy([nat64]).permits("64:ff9b::169.254.169.254")
    assert not AddressPolicy([nat64], confined=True).permits("64:ff9b::1.1.1.1")
    assert AddressPolicy([nat64, ip_network("10.0.0.0/8")], confined=True).permits("64:ff9b::10.0.0.1")


def test_the_allowed_network_alone_is_opened() -> None:
    policy = AddressPolicy([ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")])
    assert policy.permits("10.1.2.3")
    assert policy.permits("fd00:1::5")
    assert not policy.permits("10.2.0.1")
    assert not policy.permits("fd00:2::5")
    assert not policy.permits("fd00:1::5%eth0")
