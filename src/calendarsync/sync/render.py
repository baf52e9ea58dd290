"""Putting texts onto a planned copy, as late as possible. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from calendarsync.domain.copy import Copy, CopyComponent
from calendarsync.domain.event import Content
from calendarsync.domain.link import Link
from calendarsync.domain.origin import UNFINISHED, write_mark
from calendarsync.domain.rules import TITLE_PLACEHOLDER, Detail, Rules
from calendarsync.sync.shape import Part, Wanted


def needs_contents(wanted: Wanted) -> bool:
    return any(part.detail is Detail.FULL for part in wanted.parts)


def render(
    wanted: Wanted, link: Link, rules: Rules, contents: Mapping[str, Content], mark_key: bytes
) -> Copy:
    """The copy to write. `contents` are the source's, by component, and may be empty for a block."""
    master, *overrides = (_component(part, rules, contents) for part in wanted.parts)
    mark, draft = (
        write_mark(mark_key, link.origin, link.generation, fingerprint, link.target_calendar)
        for fingerprint in (wanted.written_hash, UNFINISHED)
    )
    return Copy(
        id=link.copy_id,
        mark=mark,
        draft=draft,
        master=master,
        overrides=tuple(overrides),
        reminders=rules.reminders if wanted.parts[0].detail is Detail.FULL else (),
        color=rules.color,
    )


def _component(part: Part, rules: Rules, contents: Mapping[str, Content]) -> CopyComponent:
    if part.detail is Detail.BLOCKER:
        return replace(part.skeleton, title=rules.block_title)
    content = contents.get(part.original, Content())
    return replace(
        part.skeleton,
        title=rules.effective_title.replace(TITLE_PLACEHOLDER, content.title),
        description=_description(content, rules),
        location=content.location,
    )


def _description(content: Content, rules: Rules) -> str:
    if not rules.attendees_in_description or not content.attendees:
        return content.description
    people = "\n".join(("Attendees:", *(f"- {name}" for name in content.attendees)))
    return f"{content.description}\n\n{people}" if content.description else people
