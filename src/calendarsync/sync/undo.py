"""Taking back what a run did: what it created goes, what it deleted is created again (rule 21). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from calendarsync.domain.entry import Entry
from calendarsync.domain.link import Link, LinkState
from calendarsync.sync.actions import Create, Delete, FlowInput, FlowPlan
from calendarsync.sync.board import DEFECT, Board
from calendarsync.sync.drift import lost_instances, with_respected
from calendarsync.sync.former import Former
from calendarsync.sync.shape import Wanted
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


_ABOUT_COPIES = frozenset({"create", "update", "delete", "adopt", "propagate"})
_NOT_BROUGHT_BACK = {"twin": "copy_not_needed", "origin_changed": "source_gone"}
"""Deletions of what stood beside, or instead of, the copy of the event that the log names."""


def plan_undo(flow: FlowInput, done: Iterable[Done]) -> FlowPlan:
    """The way back for one flow. What there is none for is skipped, with its reason.

    It is worked out from what stands there now, so that a second time there is nothing to do. Whether the pair goes
    in this direction any more is of no account.
    """
    board = Board(replace(flow, withdrawn=False))
    board.result.live_copies = sum(link.state is LinkState.LIVE for link in flow.links)
    steps: defaultdict[tuple[str, str], list[Done]] = defaultdict(list)
    for each in done:
        if each.action == "delete" and each.reason in _NOT_BROUGHT_BACK:
            _cannot(board, each, _NOT_BROUGHT_BACK[each.reason])
        elif each.action in _ABOUT_COPIES:
            steps[each.event_id, each.original].append(each)
    former = Former(board)
    links = {link.copy_id: link for link in flow.links}
    # Events of which nothing else would be left than what the run created.
    without: dict[str, str] = {}
    for of_copy in steps.values():
        if of_copy[0].action != "create":
            _restore(board, former, of_copy, without)
    for of_copy in steps.values():
        if of_copy[0].action == "create":
            _take_away(board, links, of_copy, without)
    return board.result


def _cannot(board: Board, each: Done, reason: str, *, failed: bool = False) -> None:
    board.result.skipped.append(Skipped(each.event_id, each.original, reason, failed))


def _take_away(
    board: Board, links: Mapping[str, Link], steps: Sequence[Done], without: Mapping[str, str]
) -> None:
    """Delete what was not there before the run."""
    created = {each.copy_id: each for each in steps if each.action == "create"}
    for copy_id, each in created.items():
        copy = board.copies.get(copy_id or "")
        if copy is None:
            continue
        link = links.get(copy.uid)
        known = copy.ours or (link is not None and link.state is LinkState.LIVE)
        if not known or copy.uid in board.flow.other_links:
            _cannot(board, each, "copy_not_ours")
        elif each.event_id in without:
            _cannot(board, each, without[each.event_id])
        else:
            _delete(board, each, copy, link)


def _delete(board: Board, each: Done, copy: Entry, link: Link | None) -> None:
    if link is not None:
        link = _respecting(board, link, copy)
        # If no answer is heard, it is not a person who deleted the copy.
        board.keep(replace(link, state=LinkState.PENDING))
    board.write(
        Delete(link, copy, each.event_id, each.original, UNDONE, exempt=True, after=each.event_id),
    )


def _respecting(board: Board, link: Link, copy: Entry) -> Link:
    """With the instances that a person took out of the copy since the last run (rule 17)."""
    entry = board.flow.source.get(link.source_resource)
    edited = link.state is LinkState.LIVE and link.copy_hash != copy.meaning(board.fingerprinter)
    if entry is None or not edited or not board.rules.respects_deletions:
        return link
    return with_respected(board, entry, link, lost_instances(board, link, copy))


def _restore(board: Board, former: Former, steps: Sequence[Done], without: dict[str, str]) -> None:
    """Create what was there before the run, and is not there after it."""
    last = steps[-1]
    if last.action != "delete":
        if any(each.action != "adopt" for each in steps):
            _cannot(board, last, "contents_not_held")
        return
    if last.event_id not in board.flow.source:
        _cannot(board, last, "source_gone")
        return
    try:
        found = former.copy_of(last.event_id, last.original)
        barred = found if isinstance(found, str) else _barred(board, former, found)
    except Exception:  # noqa: BLE001 - one event that we trip over must not stop the others
        _cannot(board, last, DEFECT, failed=True)
        without[last.event_id] = DEFECT
        return
    if barred is not None:
        _cannot(board, last, barred)
        if barred in {"form_not_possible", "id_taken"}:
            without[last.event_id] = barred
    elif isinstance(found, Wanted) and not _stands(board, found):
        board.write(Create(found, board.as_written(_link_of(board, former, found), found), UNDONE))


def _stands(board: Board, wanted: Wanted) -> bool:
    link = board.links.get((wanted.entry.id, wanted.original))
    return wanted.origin in board.by_origin or (link is not None and link.copy_id in board.copies)


def _barred(board: Board, former: Former, wanted: Wanted) -> str | None:
    """Why a copy is not created, though it could be."""
    if _stands(board, wanted):
        return None
    known = board.links.get((wanted.entry.id, wanted.original))
    if known is not None and board.rules.respects_deletions:
        respected = known.state is LinkState.RESPECTED and known.times_hash == wanted.times_hash
        if respected or known.state is LinkState.LIVE:
            return "copy_deleted_by_person"
    link = _link_of(board, former, wanted)
    if link.copy_id in board.flow.other_links or wanted.origin in board.flow.other_origins:
        return "copied_already"
    return "id_taken" if link.copy_id in board.copies or wanted.origin in board.foreign else None


def _link_of(board: Board, former: Former, wanted: Wanted) -> Link:
    known = board.links.get((wanted.entry.id, wanted.original))
    if known is not None and known.origin == wanted.origin:
        return replace(known, state=LinkState.PENDING)
    return board.new_link(wanted, former.respected(wanted.entry.id))
