"""Copies that travel on, as sources of a flow (rule 2, option `relay`). Pure.

A copy is another resource than the event that it stands for. It may get another id, or come in another form, while
what it stands for is the same; and another event may stand at its id, where a removed pair left it behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from calendarsync.domain.entry import Entry, ordinary
from calendarsync.domain.event import ORIGINAL_OF_MASTER
from calendarsync.domain.link import Link, LinkState
from calendarsync.domain.origin import MarkKind, copy_id
from calendarsync.domain.relay import NotRelayed
from calendarsync.sync.actions import Delete, FlowInput
from calendarsync.sync.board import Board
from calendarsync.sync.shape import Wanted


def sources(flow: FlowInput) -> Iterator[Entry]:
    """What is to be copied: events that are nobody's copies, then copies that travel on."""
    if flow.withdrawn:
        return
    roots = flow.scene.roots
    events = (entry for entry in flow.source.values() if entry.id not in roots)
    yield from ordinary(events, flow.source_copies, flow.kept)
    yield from (flow.source[resource_id] for resource_id in roots)


def links_of_root(flow: FlowInput, entry: Entry) -> list[Link]:
    """The links of what a copy stands for, whichever id it had when they were made."""
    root = flow.scene.roots.get(entry.id)
    return [] if root is None else [link for link in flow.links if link.origin == root.origin]


def hold(board: Board) -> frozenset[str]:
    """Tell of the copies that do not travel on; those of which nothing is changed meanwhile."""
    flow = board.flow
    for resource_id, reason in flow.not_relayed.items():
        board.note(resource_id, ORIGINAL_OF_MASTER, "skip", reason, None)
    held = frozenset(each for each, reason in flow.not_relayed.items() if reason is NotRelayed.NOT_KNOWN)
    # Of another installation's there is nothing to be found out.
    marks = (flow.source[each].mark for each in held)
    board.result.waiting = any(mark is None or mark.kind is MarkKind.OWN for mark in marks)
    return held


def one_of_each(board: Board, wanted: Sequence[Wanted]) -> list[Wanted]:
    """Two copies show the same for a moment, where a series becomes single instances or the other way round."""
    first: dict[str, Wanted] = {}
    for each in wanted:
        if first.setdefault(each.origin, each) is not each:
            board.skip(each, "copied_already")
    return list(first.values())


def move_links(board: Board, wanted: Sequence[Wanted], left: frozenset[str]) -> None:
    """Links go with what they stand for to the id, and the form, that it has now. `left` are to stay."""
    if not board.flow.scene.roots:
        return
    keys = {(each.entry.id, each.original) for each in wanted}
    free = {
        link.origin: link
        for link in board.flow.links
        if link.key not in keys and link.source_resource not in left
    }
    for each in wanted:
        key = (each.entry.id, each.original)
        former = free.pop(each.origin, None) if key not in board.links else None
        if former is None:
            continue
        resource, original = key
        moved = replace(former, source_resource=resource, source_original=original, id=None)
        del board.links[former.key]
        board.links[key] = moved
        board.keep(moved)
        board.forget(former)


def for_this_origin(board: Board, wanted: Wanted, link: Link) -> Link | None:
    """The link where another event stands at the source's id than it was made for.

    None where its copy has to go first.
    """
    if link.origin == wanted.origin:
        return link
    copy = board.copies.get(link.copy_id)
    theirs = link.copy_id in board.flow.other_links
    if copy is not None and not theirs and (link.state is LinkState.LIVE or copy.ours):
        event_id, original = link.key
        board.write(Delete(link, copy, event_id, original, "origin_changed", exempt=True))
        board.result.again = True
        return None
    return replace(
        link,
        origin=wanted.origin,
        generation=0,
        copy_id=copy_id(wanted.origin, board.flow.target_calendar, 0),
        state=link.state if copy is None else LinkState.PENDING,
    )
