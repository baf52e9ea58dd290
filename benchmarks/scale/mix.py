"""What an installation of N pairs is made of: accounts, grants, and how its calendars behave. Pure.

Everything follows from a pair's number, so that each process knows it without asking.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

LARGEST = 0.1
"""The share of all pairs that one account has."""

MIDDLE_ACCOUNTS = 300
MIDDLE = 0.4
"""How many accounts of middle size there are, and what share of all pairs they have together."""

SMALL = 5
"""Pairs of each of the other accounts."""

CALENDARS_OF_GRANT = 4
"""So many pairs of an account are read with one grant, or one password, at each of their two ends."""

THROTTLED = EXPIRED = 0.005
"""Shares of grants: the provider says slow down; the grant is dead."""

CHANGED = 0.03
"""The share of polls that find an event added, changed or removed at one end."""

PLANNED_ANEW = 0.01
"""The share of pairs, in a measurement, that are planned once though nothing changed."""

PROVIDERS = ("caldav", "google", "microsoft")
SIDES = "ab"


class Kind(StrEnum):
    """How the calendars of a grant answer."""

    WELL = "well"
    THROTTLED = "throttled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Account:
    """`first` is the number of its first pair."""

    number: int
    first: int
    pairs: int

    @property
    def id(self) -> str:
        return id_of("acct", self.number)


@dataclass(frozen=True, slots=True)
class End:
    """One end of a pair: a calendar, its provider, and the grant that it is read with."""

    id: str
    calendar_id: str
    calendar_key: str
    provider: str
    grant: str
    kind: Kind


def accounts(pairs: int) -> Iterator[Account]:
    """One large account, some of middle size, and many small ones, with as many pairs together."""
    sizes = [int(pairs * LARGEST), *[int(pairs * MIDDLE / MIDDLE_ACCOUNTS)] * MIDDLE_ACCOUNTS]
    left = pairs - sum(sizes)
    sizes += [SMALL] * (left // SMALL) + [left % SMALL]
    first = 0
    for number, size in enumerate(filter(None, sizes)):
        yield Account(number, first, size)
        first += size


def end(account: Account, place: int, side: str) -> End:
    """An end of the account's pair at `place`, counted from 0."""
    group = f"{account.number}/{place // CALENDARS_OF_GRANT}"
    kind = _kind(group) if side == "a" else Kind.WELL
    number = account.first + place
    provider = PROVIDERS[int(share(f"provider {group}{side}") * len(PROVIDERS))]
    return End(
        id=id_of("conn", f"{number}{side}"),
        calendar_id=f"https://calendars.example.com/{kind}/{number}{side}/",
        calendar_key=_hex(f"calendar {number}{side}", 32),
        provider=provider,
        grant=f"{group}{side}",
        kind=kind,
    )


def kind_of(calendar_id: str) -> Kind:
    """The inverse of what stands in an end's `calendar_id`. Raises ValueError for another's."""
    return Kind(calendar_id.removeprefix("https://calendars.example.com/").partition("/")[0])


def id_of(kind: str, name: object) -> str:
    """Looks like an id of ours, and is the same for the same name."""
    return f"{kind}_{_hex(f'{kind} {name}', 11)}"


def hash_of(name: str) -> str:
    """Looks like a keyed hash of ours."""
    return _hex(f"hash {name}", 32)


def share(name: str) -> float:
    """From 0 to 1, spread evenly over names."""
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest()) / 2**32


def _kind(group: str) -> Kind:
    lot = share(f"kind {group}")
    if lot < THROTTLED:
        return Kind.THROTTLED
    return Kind.EXPIRED if lot < THROTTLED + EXPIRED else Kind.WELL


def _hex(name: str, size: int) -> str:
    return blake2b(name.encode(), digest_size=size).hexdigest()
