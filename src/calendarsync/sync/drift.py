"""A copy that stands, beside what it should be and what was written of it (rules 16 to 18). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import Component, Status
from calendarsync.domain.link import Link, LinkState
from calendarsync.domain.recurrence import RecurrenceError, expand
from calendarsync.domain.rules import OnCopyEdited, Window
from calendarsync.domain.times import moment_key
from calendarsync.sync.actions import Edited, Propagate, Update
from calendarsync.sync.board import Board
from calendarsync.sync.edits import NotCarriedError
from calendarsync.sync.propagation import edits_of
from calendarsync.sync.shape import Wanted, components_of

MAX_RESTORES = 2
MAX_CARRIED = 4
"""So many edits of one copy travel in a row, with no run between that finds it as it was written."""


def bring_in_line(board: Board, wanted: Wanted, link: Link, copy: Entry) -> None:
    """What is to be done about a copy that can be read."""
    current = copy.meaning(board.fingerprinter)
    written_since = copy.ours and copy.mark is not None and copy.mark.fingerprint != link.written_hash
    edited = link.copy_hash != current and not written_since
    lost = lost_instances(board, link, copy) if edited else ()
    if lost and board.rules.respects_deletions:
        _respect_instances(board, wanted, link, copy, lost)
    elif link.written_hash != wanted.written_hash:
        if edited and _propagates(board) and link.propagating == current:
            _propagate(board, wanted, link, copy)
        else:
            adopt_or_update(board, wanted, link, copy, _what_changed(board, link, edited=edited))
    elif written_since and (link.restores < MAX_RESTORES or link.copy_hash != current):
        _restore(board, wanted, link, copy, "unanswered_write")
    elif edited:
        _answer_edit(board, wanted, link, copy, is_kept=_keeps(board) and not lost)
    else:
        _settle(board, wanted, link if written_since else replace(link, restores=0))


def _what_changed(board: Board, link: Link, *, edited: bool) -> str:
    if edited and _propagates(board):
        return "both_changed"  # the source wins (rule 17)
    rules_changed = link.rules_version is not None and link.rules_version != board.rules_version
    return "rules_changed" if rules_changed else "source_changed"


def mend(board: Board, wanted: Wanted, link: Link, copy: Entry) -> None:
    """Something broke the copy: it is written anew, but not for ever."""
    if link.restores >= MAX_RESTORES:
        board.skip(wanted, "copy_unreadable", failed=True)
    else:
        mended = replace(board.as_written(link, wanted), restores=link.restores + 1)
        board.write(Update(wanted, mended, "copy_unreadable", copy))


def adopt_or_update(board: Board, wanted: Wanted, link: Link, copy: Entry, reason: str) -> None:
    """Take a copy as it stands where it says that it was written from what is wanted, and shows that.

    We have not seen it since it was written: its times may have been edited meanwhile (rule 17).
    """
    written = board.as_written(link, wanted)
    is_current = copy.mark is not None and copy.ours and copy.mark.fingerprint == wanted.written_hash
    lost = lost_instances(board, written, copy) if is_current else ()
    if lost and board.rules.respects_deletions:
        _respect_instances(board, wanted, written, copy, lost)
    elif is_current and ((_keeps(board) and not lost) or _shows(board, wanted, copy)):
        adopted = replace(written, copy_hash=copy.meaning(board.fingerprinter))
        board.keep(adopted, "adopt", reason, (wanted, copy))
    else:
        board.write(Update(wanted, written, reason, copy))


def _shows(board: Board, wanted: Wanted, copy: Entry) -> bool:
    """Whether a copy stands in the window where it should (rule 14)."""
    if copy.problem is not None:
        return False
    scene = board.flow.scene
    try:
        return _slots(copy.components, scene.window, board.flow.target_floating) == _slots(
            components_of(wanted), scene.window, scene.floating
        )
    except RecurrenceError:
        return False


def _slots(components: Sequence[Component], window: Window, floating: str) -> list[tuple[str, str, bool]]:
    return sorted(
        (
            moment_key(instance.start, floating),
            moment_key(instance.end, floating),
            instance.component.transparent,
        )
        for instance in expand(components, window.first, window.last, floating)
        if instance.component.status is not Status.CANCELLED
    )


def _settle(board: Board, wanted: Wanted, settled: Link) -> None:
    if settled != board.links[settled.key]:
        board.keep(settled)
    board.note(wanted.entry.id, wanted.original, "none", settled.accepted or "in_step", settled.copy_id)


def with_respected(board: Board, entry: Entry, link: Link, lost: tuple[str, ...]) -> Link:
    """With instances that a person took out of the copied series, by their keys."""
    floating = board.flow.scene.floating
    starts = {key: key for key in lost}
    for component in entry.components:
        if component.recurrence_id is not None:
            starts[moment_key(component.recurrence_id, floating)] = moment_key(component.start, floating)
    noted = tuple(f"{key}>{starts[key]}" for key in lost)
    return replace(link, respected=tuple(dict.fromkeys((*link.respected, *noted))))


def notice_lost(board: Board, entry: Entry, link: Link) -> Link:
    """The link of a copied series with what a person took out of it, whichever form it will have from now on."""
    copy = board.copies.get(link.copy_id)
    lost = lost_instances(board, link, copy) if copy is not None and link.state is LinkState.LIVE else ()
    if copy is None or not lost:
        return link
    written_since = copy.ours and copy.mark is not None and copy.mark.fingerprint != link.written_hash
    if written_since or link.copy_hash == copy.meaning(board.fingerprinter):
        return link
    return with_respected(board, entry, link, lost)


def _respect_instances(board: Board, wanted: Wanted, link: Link, copy: Entry, lost: tuple[str, ...]) -> None:
    """A person took instances out of the copied series: they stay away (rule 17)."""
    respecting = with_respected(board, wanted.entry, link, lost)
    again = board.decide(wanted.entry, respecting.respected).wanted
    same_form = next((other for other in again if other.original == wanted.original), None)
    if same_form is None:
        board.keep(respecting, "skip", "instance_deleted_by_person")
        board.result.again = True
        return
    if known := board.links.get(link.key):
        # Noted before the write: else one whose answer is not heard would look as if nobody had deleted anything.
        board.keep(replace(known, respected=respecting.respected))
    if edits := _edits_beside(board, same_form, respecting, copy, lost):
        _carry(board, same_form, respecting, copy, edits)
    else:
        written = board.as_written(respecting, same_form)
        board.write(Update(same_form, written, "instance_deleted_by_person", copy))


def _edits_beside(
    board: Board, wanted: Wanted, link: Link, copy: Entry, lost: tuple[str, ...]
) -> tuple[Edited, ...]:
    """What of a copy's other edits travels, where a person took instances out of it as well."""
    if not _propagates(board) or link.restores >= MAX_CARRIED:
        return ()
    others = tuple(name for name in link.respected if name.partition(">")[0] not in lost)
    whole = board.decide(wanted.entry, others).wanted
    if all(each.written_hash != link.written_hash for each in whole):
        return ()  # the source changed too, and wins
    try:
        return edits_of(board, wanted, link, copy, lost)
    except NotCarriedError:
        return ()


def _answer_edit(board: Board, wanted: Wanted, link: Link, copy: Entry, *, is_kept: bool) -> None:
    """A person, or the provider, changed the copy (rule 17)."""
    if is_kept:
        current = copy.meaning(board.fingerprinter)
        kept = replace(link, copy_hash=current, accepted="copy_edit_kept")
        board.keep(kept, "skip", "copy_edit_kept")
    elif _propagates(board) and link.restores < MAX_CARRIED:
        _propagate(board, wanted, link, copy)
    else:
        _restore(board, wanted, link, copy, "copy_edited")


def _keeps(board: Board) -> bool:
    return board.rules.on_copy_edited is OnCopyEdited.KEEP


def _propagates(board: Board) -> bool:
    return board.rules.on_copy_edited is OnCopyEdited.PROPAGATE


def _propagate(board: Board, wanted: Wanted, link: Link, copy: Entry) -> None:
    try:
        edits = edits_of(board, wanted, link, copy)
    except NotCarriedError as error:
        _restore(board, wanted, link, copy, error.reason)
        return
    if not edits:
        _restore(board, wanted, link, copy, "copy_edited")
        return
    _carry(board, wanted, link, copy, edits)


def _carry(board: Board, wanted: Wanted, link: Link, copy: Entry, edits: tuple[Edited, ...]) -> None:
    resumes = link.propagating == copy.meaning(board.fingerprinter)
    restored = replace(board.as_written(link, wanted), restores=link.restores + 1)
    board.write(Propagate(wanted, restored, "copy_edited", copy, edits, link, resumes))


def _restore(board: Board, wanted: Wanted, link: Link, copy: Entry, reason: str) -> None:
    if link.restores >= MAX_RESTORES:
        reason = "rewritten_by_provider"
        current = copy.meaning(board.fingerprinter)
        accepted = replace(link, copy_hash=current, copy_fields=None, accepted=reason)
        board.keep(accepted, "skip", reason, (wanted, copy))
    else:
        restored = replace(board.as_written(link, wanted), restores=link.restores + 1)
        board.write(Update(wanted, restored, reason, copy))


def lost_instances(board: Board, link: Link, copy: Entry) -> tuple[str, ...]:
    """Keys of instances that the copy leaves out, and that we did not leave out when we wrote it."""
    master = copy.master
    if link.source_original or master is None or master.recurrence is None:
        return ()
    cancelled = [
        component.recurrence_id
        for component in copy.components
        if component.recurrence_id is not None and component.status is Status.CANCELLED
    ]
    floating = board.flow.target_floating
    out = [moment_key(time, floating) for time in (*master.recurrence.exdates, *cancelled)]
    return tuple(key for key in dict.fromkeys(out) if key not in link.holes)
