"""What one flow of a pair has to do: index rows and links in, actions out. Pure.

The table of cases; `wanted` is a copy that the rules ask for, `link` our record of it, `copy` the event that
stands in the target, `written` and `as read` the link's two fingerprints (tests/sync/test_cases.py plans each row):

    wanted  link       copy       fingerprints, options           action     reason
    ──────  ─────────  ─────────  ──────────────────────────────  ─────────  ─────────────────────────────────
    yes     none       none                                       create     new
    yes     none       ours       current                         adopt      adopted
    yes     none       ours       out of date                     update     adopted
    yes     none       others'                                    skip       copied_already
    yes     none       foreign                                    skip       id_taken
    yes     none       foreign    confirmed (rule 4)              update     adopted
    yes     none       unmarked   at our id                       skip       id_taken
    yes     pending    none                                       create     unanswered_write
    yes     pending    ours       current                         adopt      unanswered_write
    yes     live       none                                       skip       copy_deleted_by_person
    yes     live       none       on_copy_deleted: restore        create     copy_deleted_by_person
    yes     respected  none       times as they were              skip       copy_deleted_by_person
    yes     respected  none       times changed                   create     source_moved
    yes     respected  none       given up for another form       create     wanted_again
    yes     respected  none       on_copy_deleted: restore        create     copy_deleted_by_person
    yes     respected  ours       all equal                       none       in_step
    yes     live       broken                                     update     copy_unreadable
    yes     live       broken     restored twice                  skip       copy_unreadable
    yes     live       ours       all equal                       none       in_step
    yes     live       ours       written ≠ wanted                update     source_changed
    yes     live       ours       written ≠ wanted, other rules   update     rules_changed
    yes     live       ours       written ≠ wanted = mark         adopt      source_changed
    yes     live       ours       written = wanted ≠ mark         update     unanswered_write
    yes     live       ours       as read ≠ copy                  update     copy_edited
    yes     live       ours       as read ≠ copy, instance out    update     instance_deleted_by_person
    yes     live       ours       as read ≠ copy, restored twice  skip       rewritten_by_provider
    yes     live       ours       as read ≠ copy, keep            skip       copy_edit_kept
    yes     live       ours       as read ≠ copy, propagate       propagate  copy_edited
    yes     live       ours       both changed, propagate         update     both_changed
    yes     live       ours       another event at its source id  delete     origin_changed
    yes     any        two ours   of one origin: the higher id    delete     twin
    no      live       none                                       forget     source_deleted
    no      pending    none                                       forget
    no      pending    none       its write may have arrived      none       unanswered_write
    no      live       others'                                    forget
    no      pending    unmarked                                   forget
    no      live       ours       source gone                     delete     source_deleted
    no      live       ours       source not copied               delete     free
    no      live       ours       copied in another form now      delete     form_changed
    no      live       ours       its new form is held back       none       form_incomplete
    no      live       ours       the pair goes the other way     delete     direction_changed
    no      live       ours       source unreadable               none       source_unreadable
    no      live       ours       wholly behind the window        none       history
"""

from __future__ import annotations

from dataclasses import replace

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import ORIGINAL_OF_MASTER
from calendarsync.domain.link import Link, LinkState
from calendarsync.domain.origin import MarkKind
from calendarsync.domain.times import moment_key
from calendarsync.sync.actions import Affected, Create, FlowInput, FlowPlan, Update
from calendarsync.sync.board import Board
from calendarsync.sync.drift import adopt_or_update, bring_in_line, mend, notice_lost
from calendarsync.sync.relay import for_this_origin, hold, links_of_root, move_links, one_of_each, sources
from calendarsync.sync.respect import respected, without_outdated
from calendarsync.sync.shape import Wanted
from calendarsync.sync.wanted import Skipped
from calendarsync.sync.withdrawal import leave, withdraw


def plan(flow: FlowInput) -> FlowPlan:
    """What is to be done so that the target shows what the source and the rules ask for."""
    flow, no_longer_respected = without_outdated(flow)
    board = Board(flow)
    for link in no_longer_respected:
        board.keep(link)
    result = board.result
    result.live_copies = sum(link.state is LinkState.LIVE for link in flow.links)
    unreadable: set[str] = set()
    found: list[Wanted] = []
    stay_away: dict[str, tuple[str, ...]] = {}
    held = hold(board)
    why_not = {(each, ORIGINAL_OF_MASTER): str(reason) for each, reason in flow.not_relayed.items()}
    for entry in sources(flow):
        mine = board.links_of[entry.id] or links_of_root(flow, entry)
        if board.rules.respects_deletions:
            mine = [notice_lost(board, entry, link) for link in mine]
            board.links.update((link.key, link) for link in mine if link.key in board.links)
        away = stay_away[entry.id] = respected(mine) if board.rules.respects_deletions else ()
        decision = board.decide(entry, away)
        if entry.changed_in > flow.looked_at_version:
            result.processed.add(entry.id)
        unreadable.update(skip.event_id for skip in decision.skipped if skip.failed)
        why_not.update(((skip.event_id, skip.original), skip.reason) for skip in decision.skipped)
        _tell_skips(board, entry, decision.skipped)
        found += decision.wanted
    found = one_of_each(board, found)
    move_links(board, found, held | unreadable)
    for wanted in found:
        if wanted.original:
            board.single.add(wanted.entry.id)
        else:
            board.whole[wanted.entry.id] = wanted
        _place(board, wanted, stay_away[wanted.entry.id])
    wanted_keys = {(wanted.entry.id, wanted.original) for wanted in found}
    for link in [link for key, link in board.links.items() if key not in wanted_keys]:
        if link.source_resource in unreadable:
            leave(board, link, "source_unreadable")
        elif link.source_resource in held:
            leave(board, link, why_not[link.source_resource, ORIGINAL_OF_MASTER])
        else:
            reason = why_not.get(link.key) or why_not.get((link.source_resource, ORIGINAL_OF_MASTER))
            withdraw(board, link, reason)
    return result


def _tell_skips(board: Board, entry: Entry, skipped: tuple[Skipped, ...]) -> None:
    """Faults are told in every run, decisions where they are news."""
    news = entry.changed_in > board.flow.looked_at_version
    for skip in skipped:
        board.note(skip.event_id, skip.original, "skip", skip.reason, None)
        if skip.failed or (news and skip.reason not in _NO_NEWS):
            board.result.skipped.append(skip)


_NO_NEWS = frozenset({"outside_window", "copy_deleted_by_person"})


def _place(board: Board, wanted: Wanted, away: tuple[str, ...]) -> None:
    known = board.links.get((wanted.entry.id, wanted.original))
    if known is None:
        _place_unlinked(board, wanted, board.new_link(wanted, away), "new")
        return
    link = for_this_origin(board, wanted, known)
    if link is None:
        return
    if link.state is LinkState.PENDING:
        # Before its first answered write an id proves nothing: only a verified mark does.
        _place_unlinked(board, wanted, link, "unanswered_write")
    else:
        _place_linked(board, wanted, link)


def _place_linked(board: Board, wanted: Wanted, link: Link) -> None:
    copy = board.surviving_twin(wanted, link.copy_id)
    if copy is not None and copy.problem is not None:
        mend(board, wanted, link, copy)
    elif copy is not None:
        # Its id and its generation belong together: a mark that names another one makes no copy.
        generation = copy.mark.generation if copy.mark is not None and copy.ours else link.generation
        found = replace(link, copy_id=copy.uid, generation=generation, state=LinkState.LIVE, hops=wanted.hops)
        bring_in_line(board, wanted, found, copy)
    else:
        _miss(board, wanted, link)


def _miss(board: Board, wanted: Wanted, link: Link) -> None:
    """The copy that was there is not there any more (rule 17)."""
    anew = replace(link, state=LinkState.PENDING)
    if not board.rules.respects_deletions:
        _create_at_free_id(board, wanted, anew, "copy_deleted_by_person")
    elif link.state is LinkState.LIVE:
        board.result.vanished.append(_affected(board, wanted, link.copy_id))
        board.keep(_respecting(link, wanted), "skip", "copy_deleted_by_person")
        if not wanted.original and wanted.entry.id in board.single:
            board.result.again = True  # with the series go the copies of instances beside it
    elif link.times_hash != wanted.times_hash:
        reason = "wanted_again" if link.times_hash is None else "source_moved"
        _create_at_free_id(board, wanted, anew, reason)
    else:
        board.note(wanted.entry.id, wanted.original, "skip", "copy_deleted_by_person", None)


def _place_unlinked(board: Board, wanted: Wanted, link: Link, reason: str) -> None:
    """Nothing of ours was ever seen there: adopt what a verified mark shows, else create."""
    standing = board.by_origin.get(wanted.origin, ())
    if any(entry.uid in board.flow.other_links for entry in standing):
        _leave_to_others(board, wanted, link)
        return
    copy = board.surviving_twin(wanted, None)
    if copy is not None and copy.mark is not None:
        found = replace(link, copy_id=copy.uid, generation=copy.mark.generation)
        adopt_or_update(board, wanted, found, copy, "adopted" if reason == "new" else reason)
    else:
        _create_at_free_id(board, wanted, link, reason)


def _leave_to_others(board: Board, wanted: Wanted, link: Link) -> None:
    board.skip(wanted, "copied_already")
    if link.id is not None:
        board.forget(link)


def _create_at_free_id(board: Board, wanted: Wanted, link: Link, reason: str) -> None:
    taken = board.copies.get(link.copy_id) or board.foreign.get(wanted.origin)
    if link.copy_id in board.flow.other_links or wanted.origin in board.flow.other_origins:
        _leave_to_others(board, wanted, link)
    elif taken is None:
        board.write(Create(wanted, board.as_written(link, wanted), reason))
    elif taken.mark is not None and taken.mark.kind is MarkKind.FOREIGN:
        _meet_foreign(board, wanted, link, taken)
    else:
        board.skip(wanted, "id_taken")


def _meet_foreign(board: Board, wanted: Wanted, link: Link, copy: Entry) -> None:
    """A copy of this very source whose mark does not verify: the installation's key may be lost (rule 4)."""
    if _same_times(wanted, copy, board.flow.target_floating):
        if board.flow.adopt_foreign and copy.mark is not None:
            found = replace(link, copy_id=copy.uid, generation=copy.mark.generation)
            board.write(Update(wanted, board.as_written(found, wanted), "adopted", copy))
            return
        board.result.foreign.append(_affected(board, wanted, copy.uid))
    board.skip(wanted, "id_taken")


def _affected(board: Board, wanted: Wanted, copy_id: str) -> Affected:
    start = moment_key(wanted.parts[0].skeleton.start, board.flow.scene.floating)
    return Affected(wanted.entry.id, wanted.original, copy_id, start)


def _respecting(link: Link, wanted: Wanted) -> Link:
    """The link of a copy that a person deleted. A single instance is named, so that it outlives its form."""
    named = (*link.respected, wanted.instance_key) if wanted.original else link.respected
    respected = tuple(dict.fromkeys(named))
    return replace(link, state=LinkState.RESPECTED, times_hash=wanted.times_hash, respected=respected)


def _same_times(wanted: Wanted, copy: Entry, floating: str) -> bool:
    master = copy.master
    skeleton = wanted.parts[0].skeleton
    return master is not None and moment_key(master.start, floating) == moment_key(skeleton.start, floating)
