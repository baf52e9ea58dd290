"""Whose turn it is: every account has its own, and none fills a worker."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from calendarsync.store.fairness import Places, in_turn

ACCOUNTS = st.sampled_from("abcde")
WAITING = st.lists(ACCOUNTS, max_size=60).map(
    lambda accounts: [(account, f"{account}{number}") for number, account in enumerate(accounts)]
)
AT_WORK = st.dictionaries(ACCOUNTS, st.integers(1, 200))
PLACES = st.builds(Places, st.integers(-5, 150), st.integers(1, 64), AT_WORK)
ENOUGH = 10_000


def accounts_of(pairs: list[str]) -> Counter[str]:
    return Counter(pair[0] for pair in pairs)


def test_one_account_after_the_other_and_its_own_in_their_order() -> None:
    waiting = [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("b", "b2"), ("c", "c1")]
    assert in_turn(waiting, Places(ENOUGH, 5)) == ["a1", "b1", "c1", "a2", "b2"]


def test_what_is_at_work_already_counts() -> None:
    waiting = [("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2")]
    assert in_turn(waiting, Places(ENOUGH, 3, {"a": 2})) == ["b1", "b2", "a1"]


def test_whoever_is_alone_leaves_an_eighth_and_each_further_one_has_room() -> None:
    at_work: dict[str, int] = {}
    for account in ("a", "b", "c", "d"):
        waiting = [(account, f"{account}{number}") for number in range(500)]
        at_work[account] = len(in_turn(waiting, Places(128 - sum(at_work.values()), ENOUGH)))
    assert at_work == {"a": 112, "b": 14, "c": 2, "d": 0}
    assert len(in_turn([("d", "d1")], Places(1, 64, {"a": 112}))) == 1


@given(WAITING, PLACES)
def test_nobody_gets_two_more_than_one_who_still_waits(
    waiting: list[tuple[str, str]], places: Places
) -> None:
    chosen = in_turn(waiting, places)
    assert len(chosen) == len(set(chosen)) <= places.room
    got, wanted = accounts_of(chosen), Counter(account for account, _ in waiting)
    having = {account: places.at_work.get(account, 0) + got[account] for account in wanted}
    for account in wanted:
        mine = [pair for each, pair in waiting if each == account]
        assert [pair for pair in chosen if pair[0] == account] == mine[: got[account]]
        assert not got[account] or having[account] <= places.most_of(account)
        if got[account] < wanted[account] and having[account] < places.most_of(account):
            assert len(chosen) == places.room, "there was a place for it"
            assert all(having[other] <= having[account] + 1 for other in wanted if got[other])


@given(WAITING, st.lists(st.lists(ACCOUNTS, max_size=12), max_size=40), st.integers(1, 8))
def test_nothing_waits_for_ever_whatever_comes_behind_it(
    backlog: list[tuple[str, str]], arriving: list[list[str]], room: int
) -> None:
    """What has waited longest goes with every look, so the tenth goes with the tenth at the latest."""
    waiting, place = list(backlog), {pair: number for number, (_, pair) in enumerate(backlog)}
    for look, accounts in enumerate(arriving):
        chosen = set(in_turn(waiting, Places(ENOUGH, room)))
        waiting = [each for each in waiting if each[1] not in chosen]
        assert all(place[pair] > look for _, pair in waiting if pair in place)
        waiting += [(account, f"{account}{look}.{number}") for number, account in enumerate(accounts)]
