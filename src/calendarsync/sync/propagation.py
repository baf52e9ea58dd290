"""Whether a person's edit of a copy travels back into its source, and what of it (rule 17). Pure.

The plan names the components that were edited, and their new times; which texts changed is seen when they are
fetched, as late as texts are for any write (`amendment_of`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from calendarsync.domain.amendment import Change
from calendarsync.domain.entry import Entry
from calendarsync.domain.event import ORIGINAL_OF_MASTER, Content
from calendarsync.domain.link import Link
from calendarsync.domain.rules import TITLE_PLACEHOLDER, Rules
from calendarsync.sync.actions import Edited, Propagate
from calendarsync.sync.board import Board
from calendarsync.sync.edits import NotCarriedError, Reader
from calendarsync.sync.fields import TEXTS, Fields, Known, remembered
from calendarsync.sync.render import needs_contents, people_in_description, shown_texts
from calendarsync.sync.shape import Wanted


def edits_of(
    board: Board, wanted: Wanted, link: Link, copy: Entry, lost: Collection[str] = ()
) -> tuple[Edited, ...]:
    """What of a copy's edit travels; nothing where no field of ours was edited. Raises NotCarriedError.

    `lost` are the instances that a person took out of the copy, by their keys: that is no edit.
    """
    reason = _barred(board, wanted, link)
    if reason is not None:
        raise NotCarriedError(reason)
    flow = board.flow
    fields = Fields(board.fingerprinter, flow.target_floating, link.origin)
    known = remembered(link.copy_fields)
    return Reader(wanted, link, copy, known, flow.scene, fields, flow.target_floating, lost).edits()


def _barred(board: Board, wanted: Wanted, link: Link) -> str | None:
    """Why nothing may be written into this source, whatever was edited."""
    flow, source = board.flow, wanted.entry
    if not flow.amendable:
        return "source_read_only"
    is_copy = source.uid in flow.source_copies and source.uid not in flow.kept
    if source.mark is not None or is_copy or source.id in flow.scene.roots:
        return "source_is_copy"
    if any(component.has_attendees for component in source.components):
        return "source_has_attendees"
    if any(component.organized_by_owner is not True for component in source.components):
        return "not_organizer"
    if not needs_contents(wanted):
        return "shown_as_block"
    return None if link.copy_fields else "fields_unknown"


@dataclass(frozen=True, slots=True)
class Amendment:
    """What is to be written into the source. Without `changes`, `reason` says why the copy is put right instead.

    `title_lost`: its title was edited so that the pair's template cannot be undone.
    """

    changes: tuple[Change, ...] = ()
    reason: str = "copy_edited"
    title_lost: bool = False


class _Conflict(Exception):  # noqa: N818 - it tells what happened
    """The source changed too."""


def amendment_of(
    write: Propagate, source: Mapping[str, Content], copy: Mapping[str, Content], fields: Fields, rules: Rules
) -> Amendment:
    """What travels, now that the texts of both sides are at hand.

    After a run that broke off (`write.resumes`), some of it may stand in the source already. What stands there that
    is neither that nor what was written into the copy is the source's own change, and wins.
    """
    known = remembered(write.standing.copy_fields)
    changes = []
    title_lost = False
    try:
        for edited in write.edits:
            maker = _Maker(
                write,
                edited,
                known.get(edited.key) or known[""],
                edited.key not in known,
                source.get(edited.source, Content()),
                copy.get(edited.shown, Content()),
                copy.get(ORIGINAL_OF_MASTER, Content()),
                fields,
                rules,
            )
            change = maker.change()
            title_lost |= maker.title_lost
            if change is not None:
                changes.append(change)
    except _Conflict:
        return Amendment(reason="both_changed")
    if changes:
        return Amendment(tuple(changes), title_lost=title_lost)
    reason = "unanswered_write" if write.resumes else "title_not_undone" if title_lost else "copy_edited"
    return Amendment(reason=reason, title_lost=title_lost)


@dataclass(slots=True)
class _Maker:
    """Makes the change of one component.

    `known` is what the link remembers of it, or of its series where it is a `new` instance; `source` and `copy` are
    its texts, and `series` those of the copied series as a whole.
    """

    write: Propagate
    edited: Edited
    known: Known
    new: bool
    source: Content
    copy: Content
    series: Content
    fields: Fields
    rules: Rules
    title_lost: bool = False

    def change(self) -> Change | None:
        """None where the source says all of it already. Raises _Conflict."""
        edited = self.edited
        texts = self._texts() if edited.retold else {}
        times = edited.times
        if times is not None and self.write.resumes and self._source_moved():
            raise _Conflict
        if not texts and times is None:
            return None
        return Change(edited.original, edited.usual, times, **texts)

    def _texts(self) -> dict[str, str]:
        shown = self.fields.texts_of(self.copy)
        series = self.fields.texts_of(self.series)
        found: dict[str, str] = {}
        for name in TEXTS:
            if shown[name] == self.known.shown[name] or (self.new and shown[name] == series[name]):
                continue
            text = self._undone(name)
            if text is None:
                self.title_lost = True
            elif text != getattr(self.source, name):
                self._check(name)
                found[name] = text
        return found

    def _undone(self, name: str) -> str | None:
        text: str = getattr(self.copy, name)
        if name == "title":
            return title_undone(text, self.rules.effective_title)
        if name == "description":
            return description_undone(text, self.source, self.rules)
        return text

    def _check(self, name: str) -> None:
        """Raises _Conflict where the source's text is not the one that the copy was written from."""
        if not self.write.resumes:
            return
        given = self.fields.texts_of(shown_texts(self.source, self.rules))
        if given[name] != self.known.given[name]:
            raise _Conflict

    def _source_moved(self) -> bool:
        """Whether the source stands somewhere else than when the copy was written from it."""
        skeletons = [part.skeleton for part in self.write.wanted.parts]
        named = (each for each in skeletons if self.fields.key(each.recurrence_id) == self.edited.key)
        now = next(named, None)
        return now is not None and not self.new and self.fields.times(now) != self.known.given_times


def title_undone(title: str, template: str) -> str | None:
    """The title that the template made this of; None where that cannot be told."""
    if template.count(TITLE_PLACEHOLDER) != 1:
        return None
    before, after = template.split(TITLE_PLACEHOLDER)
    whole = len(title) >= len(before) + len(after) and title.startswith(before) and title.endswith(after)
    return title[len(before) : len(title) - len(after)] if whole else None


def description_undone(description: str, source: Content, rules: Rules) -> str:
    """Without the list of attendees that was put behind it."""
    people = people_in_description(source, rules)
    return description.removesuffix(people).rstrip("\n") if people else description


def standing(link: Link, copy_hash: str) -> Link:
    """The link once the edit is in the source: it is no edit any more, and the copy is yet to be written anew."""
    return replace(link, copy_hash=copy_hash, propagating=None)
