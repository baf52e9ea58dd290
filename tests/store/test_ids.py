"""Identifiers: their form, and that those of tables that grow are ordered by time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.store import ids
from calendarsync.store.ids import ORDERED, new_id

FORM = re.compile(r"[a-z]+(?:_[a-z]+)?_[0-9A-Za-z]{22}", re.ASCII)


class Clock:
    """Stands in for the module `time`."""

    def __init__(self, at: int) -> None:
        self.at = at

    def time_ns(self) -> int:
        return self.at


def at(monkeypatch: pytest.MonkeyPatch, hundredths: int, kind: str = "log") -> str:
    monkeypatch.setattr(ids, "time", Clock(hundredths * 10_000_000 + 9_999_999))
    return new_id(kind)


@pytest.mark.parametrize("kind", [*sorted(ORDERED), "conn", "pair", "acct", "key"])
def test_an_id_names_its_kind_and_is_never_given_twice(kind: str) -> None:
    made = {new_id(kind) for _ in range(5_000)}
    assert len(made) == 5_000
    assert all(FORM.fullmatch(each) and each.startswith(f"{kind}_") for each in made)


def test_the_chance_beside_the_time_is_not_to_be_guessed() -> None:
    assert 62**ids._CHANCE_LENGTH >= 2**80


@given(earlier=st.integers(0, 36**8 - 1), later=st.integers(0, 36**8 - 1))
def test_later_ids_come_later(earlier: int, later: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        one, other = at(monkeypatch, min(earlier, later)), at(monkeypatch, max(earlier, later))
    if earlier != later:
        assert one < other
        # As a collation compares that minds the case of letters last.
        assert one.casefold() < other.casefold()


def test_only_what_grows_tells_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (at(monkeypatch, 5, "evt") for _ in range(2))
    assert first[:12] == second[:12] == "evt_00000005"
    assert first != second
    others = {at(monkeypatch, 5, "conn")[:13] for _ in range(20)}
    assert len(others) > 10
