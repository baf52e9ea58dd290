"""Taking back what a run did: what it created goes, what it deleted is created again (rule 21). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import ORIGINAL_OF_MASTER, EventTime
from calendarsync.domain.holding import hold
from calendarsync.domain.link import Link, LinkState
from calendarsync.domain.origin import copy_id
from calendarsync.domain.recurrence import RecurrenceError, expand
from calendarsync.domain.times import moment_key
from calendarsync.sync.actions import Create, Delete, FlowInput, FlowPlan
from calendarsync.sync.board import Board
from calendarsync.sync.shape import Scene, Wanted, instance_copy, series_copy, single_copy
from calendarsync.sync.wanted import Skipped

UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Done:
    """What a run did about one copy, as its log says."""

    event_id: str
    original: str
    action: str
    reason: str
    copy_id: str | None


def plan_undo(flow: FlowInput, done: Iterable[Done]) -> FlowPlan:
    """The way back for one flow. What there is none for is skipped, with its reason.

    It is worked out from what stands there now, so that a second time there is nothing to do.
    """
    board = Board(flow)
    board.result.live_copies = sum(link.state is LinkState.LIVE for link in flow.links)
    for each in done:
        if each.action == "create":
            _take_away(board, each)
        elif each.action == "delete":
            _bring_back(board, each)
        elif each.action in {"update", "propagate"}:
            _cannot(board, each, "contents_not_held")
    return board.result


def _cannot(board: Board, each: Done, reason: str) -> None:
    board.result.skipped.append(Skipped(each.event_id, each.original, reason))


def _take_away(board: Board, each: Done) -> None:
    link = board.links.get((each.event_id, each.original))
    copy = board.copies.get(each.copy_id or "")
    if copy is None:
        return
    linked = link is not None and link.copy_id == copy.uid and link.state is LinkState.LIVE
    if not (linked or copy.ours) or copy.uid in board.flow.other_links:
        _cannot(board, each, "copy_not_ours")
        return
    board.write(Delete(link if linked else None, copy, each.event_id, each.original, UNDONE, exempt=True))


def _bring_back(board: Board, each: Done) -> None:
    entry = board.flow.source.get(each.event_id)
    if each.reason in {"twin", UNDONE}:
        _cannot(board, each, "copy_not_needed")
    elif entry is None:
        _cannot(board, each, "source_gone")
    else:
        wanted = _wanted_of(board, entry, each.original)
        if wanted is None:
            _cannot(board, each, "form_not_possible")
        elif not _stands(board, wanted):
            board.write(Create(wanted, board.as_written(_link_of(board, wanted), wanted), UNDONE))


def _stands(board: Board, wanted: Wanted) -> bool:
    link = board.links.get((wanted.entry.id, wanted.original))
    return wanted.origin in board.by_origin or (link is not None and link.copy_id in board.copies)


def _wanted_of(board: Board, entry: Entry, original: str) -> Wanted | None:
    """The copy that stood for this, whatever the pair's filters say of it now; None where it cannot be made."""
    if entry.problem is not None:
        return None
    try:
        return _instance(entry, original, board.flow.scene) if original else _whole(entry, board.flow.scene)
    except RecurrenceError:
        return None


def _instance(entry: Entry, original: str, scene: Scene) -> Wanted | None:
    key = moment_key(EventTime.parse(original), scene.floating)
    for instance in expand(entry.components, scene.window.first, scene.window.last, scene.floating):
        if instance.original and moment_key(instance.original, scene.floating) == key:
            return instance_copy(entry, instance, scene)
    return None


def _whole(entry: Entry, scene: Scene) -> Wanted | None:
    master = entry.master
    if master is None:
        return None
    if master.recurrence is None and len(entry.components) == 1:
        return single_copy(entry, master, scene)
    holding = hold(entry.components, scene.holder, scene.floating)
    return series_copy(entry, master, holding.apart, scene) if holding.series else None


def _link_of(board: Board, wanted: Wanted) -> Link:
    known = board.links.get((wanted.entry.id, wanted.original))
    if known is not None:
        return replace(known, state=LinkState.PENDING)
    target = board.flow.target_calendar
    return Link(
        direction=board.flow.direction,
        source_resource=wanted.entry.id,
        source_original=wanted.original or ORIGINAL_OF_MASTER,
        source_uid=wanted.entry.uid,
        origin=wanted.origin,
        target_calendar=target,
        copy_id=copy_id(wanted.origin, target, 0),
        generation=0,
        state=LinkState.PENDING,
    )
