"""A copy that is wanted no more. Pure."""

from __future__ import annotations

from datetime import timedelta

from calendarsync.domain.link import Link, LinkState
from calendarsync.sync.actions import Delete
from calendarsync.sync.board import Board

SHOWN_WITHIN = timedelta(days=1)
"""Whatever a calendar's listings lag behind, it is less."""


def withdraw(board: Board, link: Link, why_not: str | None) -> None:
    """Delete the copy, or forget or leave it. `why_not` is the reason for which its source is not copied."""
    flow = board.flow
    copy = board.copies.get(link.copy_id)
    source_there = link.source_resource in flow.source
    if copy is None:
        if _may_stand_unseen(board, link):
            leave(board, link, "unanswered_write")
        elif not source_there or link.state is not LinkState.RESPECTED:
            _forget(board, link)
        return
    if link.copy_id in flow.other_links or (link.state is not LinkState.LIVE and not copy.ours):
        _forget(board, link)
        return
    if source_there and link.source_resource in board.held_back:
        leave(board, link, "form_incomplete")
        return
    if source_there and board.is_history(copy):
        leave(board, link, "history")
        return
    form_changed = _form_changed(board, link)
    reason = "source_deleted" if not source_there else "form_changed" if form_changed else why_not
    if flow.withdrawn:
        reason = "direction_changed"
    owners_wish = form_changed or flow.withdrawn or link.rules_version != board.rules_version
    board.write(
        Delete(
            link,
            copy,
            link.source_resource,
            link.source_original,
            reason or "not_wanted",
            exempt=source_there and owners_wish,
            after=link.source_resource if form_changed else None,
        )
    )


def _may_stand_unseen(board: Board, link: Link) -> bool:
    """Whether a write of the copy may have arrived, unheard, though no reading shows it yet."""
    since = link.pending_since
    return link.state is LinkState.PENDING and since is not None and board.flow.now - since < SHOWN_WITHIN


def leave(board: Board, link: Link, reason: str) -> None:
    """Do nothing about a copy."""
    board.note(link.source_resource, link.source_original, "none", reason, link.copy_id)


def _form_changed(board: Board, link: Link) -> bool:
    """Whether another copy of the source shows from now on what this one did."""
    if not link.source_original:
        return link.source_resource in board.single
    series = board.whole.get(link.source_resource)
    return series is not None and board.key(link.source_original) not in series.holes


def _forget(board: Board, link: Link) -> None:
    board.forget(link)
    if link.source_resource not in board.flow.source:
        board.note(link.source_resource, link.source_original, "forget", "source_deleted", None)
