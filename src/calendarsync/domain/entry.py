"""What the index knows of one resource: everything that planning needs, and no contents."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime

from calendarsync.domain.event import Component, Problem, master_of
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.origin import Mark, MarkKind


@dataclass(frozen=True, slots=True)
class Entry:
    """A resource in the index. Hashes and verdicts are keyed by a component's `original`.

    `stray`: it carries a mark that was written onto another event (rule 1). `seen` is since when it is in the
    index, and `modified` when its provider says that it was last changed; None where that is not known.
    `verdicts` are what text filters say of its contents, by their signatures.
    """

    id: str
    version: str | None
    uid: str
    components: tuple[Component, ...]
    content_hashes: Mapping[str, str]
    people_hashes: Mapping[str, str]
    mark: Mark | None = None
    problem: Problem | None = None
    changed_in: int = 0
    stray: bool = False
    seen: datetime | None = None
    modified: datetime | None = None
    verdicts: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)

    @property
    def master(self) -> Component | None:
        return master_of(self.components)

    @property
    def ours(self) -> bool:
        """Whether its mark verifies: written by this installation, here, on this very event."""
        return self.mark is not None and self.mark.kind is MarkKind.OWN

    def meaning(self, fingerprinter: Fingerprinter) -> str:
        return meaning(self.components, self.content_hashes, fingerprinter)


# What the owner's addresses decide may become known later.
_MEANT = [
    each.name
    for each in fields(Component)
    if each.name not in {"response", "organized_by_owner", "has_attendees"}
]


def meaning(
    components: Iterable[Component], content_hashes: Mapping[str, str], fingerprinter: Fingerprinter
) -> str:
    """A fingerprint of all that we write into a copy, as its components and texts show it (rule 17).

    Reminders, colours and whatever a person adds beside our fields are no part of it.
    """
    shown = {component.original: component for component in components}
    parts = [
        repr([*(getattr(shown[original], name) for name in _MEANT), content_hashes.get(original)])
        for original in sorted(shown)
    ]
    return fingerprinter.of("meaning", *parts)


def ordinary(entries: Iterable[Entry], copies: Container[str], kept: Container[str]) -> Iterator[Entry]:
    """Those of a calendar's entries that are nobody's copies (rule 2).

    `copies` are the UIDs of copies whose mark may be stripped; `kept` those that a removed pair left as ordinary
    events (rule 20).
    """
    return (
        entry for entry in entries if entry.mark is None and (entry.uid in kept or entry.uid not in copies)
    )


def by_copy_id(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries by the id that a copy would have: the UID, or its name where the UID cannot be read."""
    return {entry.uid or entry.id.removesuffix(".ics"): entry for entry in entries}
