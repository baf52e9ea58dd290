"""Ways to write an address that no request may go to, and a way to see where sockets go."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

# 127.0.0.2 stands for what must not be reached. A canary listens there, on 127.0.0.1 and on ::1.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "as it is": ("127.0.0.2",),
    "decimal": ("2130706434", "02130706434", "127.0.2", "127.2"),
    "octal": ("0177.0.0.2", "0177.0.0.02", "0177.2", "017700000002", "00000177.0.0.2"),
    "hexadecimal": (
        "0x7f000002",
        "0x7f.0.0.2",
        "0x7f.0x0.0x0.0x2",
        "0X7F.0.0.2",
        "0x7f.2",
        "0x000000007f000002",
    ),
    "mixed": ("0177.0x0.0.2", "0x7f.0.2", "127.0x000002"),
    "with zeros in front": ("127.000.000.002", "0127.0.0.2"),
    "beyond its range": ("4425673730", "383.0.0.2", "127.0.0.258", "127.0.0.2.0", "127.256.2"),
    "with a dot at its end": ("127.0.0.2.", "2130706434.", "0x7f.2.", "127.0.0.2.."),
    "in other digits": ("１２７.０.０.２", "①②⑦.⓪.⓪.②", "١٢٧.٠.٠.٢", "𝟏𝟐𝟕.𝟎.𝟎.𝟐", "¹²⁷.0.0.²", "0ｘ7f.2"),
    "with other dots": ("127。0。0。2", "127．0．0．2", "127｡0｡0｡2", "127․0․0․2"),
    "with what is not seen": ("127\u00ad.0.0.2", "127\u200b.0.0.2", "127.0.0.2\u2060", "\ufeff127.0.0.2"),
    "escaped": ("%31%32%37.0.0.2", "127%2e0%2e0%2e2", "127.0.0.2%00.example.com", "127.0.0.2%23.example.com"),
    "behind a user name": (
        "public.example.com@127.0.0.2",
        "public.example.com:443@127.0.0.2",
        "public.example.com%40@127.0.0.2",
        "@127.0.0.2",
        "public.example.com\\@127.0.0.2",
        "127.0.0.2\\@public.example.com",
        "a:b@c@127.0.0.2",
    ),
    "with blanks and breaks": (
        "127.0.0.2\t",
        " 127.0.0.2",
        "127.0.0.2\r\nHost: public.example.com",
        "127.0.\n0.2",
    ),
    "in brackets": ("[127.0.0.2]", "[::127.0.0.2", "[0x7f000002]"),
    "IPv4-mapped": (
        "[::ffff:127.0.0.2]",
        "[::ffff:7f00:2]",
        "[::FFFF:127.0.0.2]",
        "[0:0:0:0:0:ffff:127.0.0.2]",
        "[0000:0000:0000:0000:0000:ffff:7f00:0002]",
    ),
    "IPv4-compatible and translated": ("[::127.0.0.2]", "[::7f00:2]", "[::ffff:0:127.0.0.2]"),
    "6to4, Teredo and ISATAP": (
        "[2002:7f00:2::]",
        "[2002:7f00:2::1]",
        "[2001:0:4136:e378:8000:63bf:80ff:fffd]",
        "[2606:4700::5efe:127.0.0.2]",
        "[2606:4700::200:5efe:7f00:2]",
    ),
    "NAT64": ("[64:ff9b::127.0.0.2]", "[64:ff9b::7f00:2]", "[64:ff9b:1::127.0.0.2]"),
    "the IPv6 loopback": ("[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::0.0.0.1]"),
    "with a zone": (
        "[::1%25lo]",
        "[::1%lo]",
        "[fe80::1%25eth0]",
        "[::ffff:127.0.0.2%25lo]",
        "[2606:4700::1%25lo]",
    ),
    "no address at all": ("0.0.0.0", "0", "0x0", "00", "[::]", "[::ffff:0.0.0.0]"),
    "private and link-local": (
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.1.1",
        "[fc00::1]",
        "[fe80::1]",
        "[fec0::1]",
    ),
    "services of a cloud": (
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "[::ffff:a9fe:a9fe]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    ),
    "many at once": ("255.255.255.255", "224.0.0.1", "[ff02::1]"),
    "by a name of the system": (
        "localhost",
        "localhost.",
        "LOCALHOST",
        "ｌｏｃａｌｈｏｓｔ",
        "loc\u00adalhost",
        "ⓛocalhost",
    ),
}

# What the DNS answers: names of an attacker's. The second element is the answer from the second time on.
NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...] | None]] = {
    "inside.example.com": (("127.0.0.2",), None),
    "127.0.0.2.wildcard.example.com": (("127.0.0.2",), None),
    "b\u00fccher.example": (("127.0.0.2",), None),
    "dot-at-the-end.example.com.": (("127.0.0.2",), None),
    "under_score.example.com": (("127.0.0.2",), None),
    "intranet": (("10.0.0.1",), None),
    "metadata.google.internal": (("169.254.169.254",), None),
    "six.example.com": (("::1",), None),
    "mapped.example.com": (("::ffff:127.0.0.2",), None),
    "zone.example.com": (("fe80::1%1",), None),
    "six-to-four.example.com": (("2002:7f00:2::1",), None),
    "nat64.example.com": (("64:ff9b::7f00:2",), None),
    "unspecified.example.com": (("0.0.0.0", "::"), None),
    "several.example.com": (("127.0.0.2", "::1", "10.0.0.1"), None),
    # The answer is judged that is connected to, not one that was given before.
    "rebinding.example.com": (("127.0.0.3",), ("127.0.0.2",)),
    "rebinding-to-six.example.com": (("127.0.0.3",), ("::1",)),
    "rebinding-mapped.example.com": (("127.0.0.3",), ("::ffff:127.0.0.2",)),
    # Beside one that may be reached, but where nothing listens.
    "mixed.example.com": (("127.0.0.2", "127.0.0.4"), None),
    "mixed-the-other-way.example.com": (("127.0.0.4", "::1", "127.0.0.2"), None),
}

COUNT = sum(map(len, SPELLINGS.values())) + len(NAMES)
_SYSTEM = re.compile(r"[0-9a-fx.:]+|localhost\.?")
FAMILY = {True: socket.AF_INET6, False: socket.AF_INET}


class AttackersNames(AbstractResolver):
    """Answers from `NAMES`; for numbers and localhost by the system's resolver, which takes every spelling.

    `moved`: names that have given their later answer.
    """

    def __init__(self) -> None:
        self.moved: set[str] = set()
        self._asked: set[str] = set()
        self._system = ThreadedResolver()
        self._answers = {name.encode("idna").decode(): answers for name, answers in NAMES.items()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if host not in self._answers:
            if not _SYSTEM.fullmatch(host):
                raise socket.gaierror(socket.EAI_NONAME, "no address")
            return await self._system.resolve(host, port, family)
        first, later = self._answers[host]
        addresses = first
        if later and host in self._asked:
            addresses = later
            self.moved.add(host)
        self._asked.add(host)
        return [
            ResolveResult(hostname=host, host=each, port=port, family=FAMILY[":" in each], proto=0, flags=0)
            for each in addresses
        ]

    async def close(self) -> None:
        await self._system.close()


_seen: list[list[tuple[Any, ...]]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        for each in _seen:
            each.append(arguments[1])


sys.addaudithook(_audit)  # it cannot be taken away again, and costs nothing while nobody watches


@contextmanager
def connections() -> Iterator[list[tuple[Any, ...]]]:
    """The addresses of all that the interpreter connects a socket to meanwhile, whoever asks it to."""
    seen: list[tuple[Any, ...]] = []
    _seen.append(seen)
    try:
        yield seen
    finally:
        _seen.remove(seen)
