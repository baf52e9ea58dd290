"""What copies stand for, followed back over links (rule 2, option `relay`)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.domain.relay import MAX_HOPS, NotRelayed, Root, Upstream, Upstreams

pytestmark = pytest.mark.rule(2)


def link(calendar: str, source: str, *, gone: bool = False, **given: object) -> Upstream:
    """The copy in a calendar, made of what stands in `source`: an event in `a`, else the copy there."""
    known = {"source_original": "", "marked": source != "a", "kept": False, **given}
    source_id = None if gone else "event" if source == "a" else f"copy-in-{source}"
    return Upstream(calendar, f"copy-in-{calendar}", "origin", source, source_id=source_id, **known)  # type: ignore[arg-type]


def trace(*links: Upstream, start: str, target: str) -> Root | NotRelayed:
    return Upstreams(links).trace(start, f"copy-in-{start}", target)


CHAIN = (link("b", "a"), link("c", "b"), link("d", "c"))


def test_a_chain_leads_to_its_event() -> None:
    assert trace(*CHAIN, start="d", target="e") == Root("origin", "event", hops=3)


def test_the_event_stands_in_the_target() -> None:
    assert trace(*CHAIN, start="d", target="a") is NotRelayed.ORIGIN_IS_HERE


@pytest.mark.parametrize("target", ["b", "c"])
def test_it_came_by_way_of_the_target(target: str) -> None:
    assert trace(*CHAIN, start="d", target=target) is NotRelayed.COPIED_ALREADY


def test_copies_that_stand_for_each_other_stand_for_nothing() -> None:
    circle = (link("b", "d"), link("c", "b"), link("d", "c"))
    assert trace(*circle, start="b", target="e") is NotRelayed.IN_CIRCLE
    assert trace(*circle, start="b", target="c") is NotRelayed.COPIED_ALREADY


@pytest.mark.parametrize(
    "links",
    [
        (),
        (link("b", "a", gone=True),),
        (link("b", "c"),),
        (link("b", "c", marked=True), link("c", "a", gone=True)),
    ],
    ids=["no link", "its event is gone", "no link further on", "its event is gone further on"],
)
def test_what_cannot_be_followed_is_not_known(links: tuple[Upstream, ...]) -> None:
    assert trace(*links, start="b", target="e") is NotRelayed.NOT_KNOWN


def test_a_copy_whose_mark_was_stripped_is_known_by_its_link() -> None:
    links = (link("b", "a"), link("c", "b", marked=False))
    assert trace(*links, start="c", target="a") is NotRelayed.ORIGIN_IS_HERE


def test_what_a_removed_pair_left_behind_is_an_event() -> None:
    links = (link("b", "a"), link("c", "b", marked=False, kept=True))
    assert trace(*links, start="c", target="a") == Root("origin", "copy-in-b", hops=1)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_instance_that_a_series_became_on_the_way(place: int) -> None:
    calendars = "abcd"
    links = [
        link(calendars[n + 1], calendars[n], source_original="2026-03-04" if n == place else "")
        for n in range(3)
    ]
    assert trace(*links, start="d", target="e") == Root("origin", "event", "2026-03-04", 3)


def test_another_link_may_lead_on_where_one_does_not() -> None:
    links = (link("b", "c"), link("b", "a"))
    assert trace(*links, start="b", target="e") == Root("origin", "event", hops=1)


def test_nothing_is_followed_without_end() -> None:
    long = [link("b0", "a"), *(link(f"b{n + 1}", f"b{n}") for n in range(MAX_HOPS + 2))]
    assert trace(*long, start="b8", target="e") == Root("origin", "event", hops=9)
    assert trace(*long, start=f"b{MAX_HOPS + 2}", target="e") is NotRelayed.NOT_KNOWN


@given(st.lists(st.tuples(st.sampled_from("bcdef"), st.sampled_from("abcdef")), max_size=8))
def test_whatever_the_links_a_copy_travels_on_only_where_an_event_is_behind_it(
    edges: list[tuple[str, str]],
) -> None:
    upstreams = Upstreams([link(calendar, source) for calendar, source in edges])
    for start in "bcde":
        end = upstreams.trace(start, f"copy-in-{start}", "f")
        behind, found = {start}, set[str]()
        while behind - found:
            found |= behind
            behind = {source for calendar, source in edges if calendar in behind - {"f"}} - {"f"}
        assert isinstance(end, Root) is ("a" in found)
