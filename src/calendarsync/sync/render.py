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
    master, *overrides = render_parts(wanted, rules, contents)
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


def render_parts(wanted: Wanted, rules: Rules, contents: Mapping[str, Content]) -> list[CopyComponent]:
    """The components of the copy, its master first."""
    return [_component(part, rules, contents) for part in wanted.parts]


def _component(part: Part, rules: Rules, contents: Mapping[str, Content]) -> CopyComponent:
    if part.detail is Detail.BLOCKER:
        return replace(part.skeleton, title=rules.block_title)
    shown = shown_texts(contents.get(part.original, Content()), rules)
    return replace(part.skeleton, title=shown.title, description=shown.description, location=shown.location)


def shown_texts(content: Content, rules: Rules) -> Content:
    """What a copy shows of its source's texts."""
    people = people_in_description(content, rules)
    described = "\n\n".join(filter(None, (content.description, people)))
    title = rules.effective_title.replace(TITLE_PLACEHOLDER, content.title)
    return Content(title, described, content.location)


def people_in_description(content: Content, rules: Rules) -> str:
    """The list of attendees that a copy's description ends in; empty where it has none."""
    if not rules.attendees_in_description or not content.attendees:
        return ""
    return "\n".join(("Attendees:", *(f"- {name}" for name in content.attendees)))
