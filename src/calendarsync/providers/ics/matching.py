"""Which event of a feed is which: ids that stay though the feed gives its events other UIDs. Pure.

An event is known by its name in the feed, which is its UID as a rule. Many feeds make new UIDs at every
reading, some have none: then an event is known by its content, all of it or at least its title and times.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from calendarsync.domain.event import Component, Content, Resource
from calendarsync.domain.fingerprint import Fingerprinter

_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Matched:
    """The feed's events with the ids and versions that the index knows them by.

    `aliases` maps the names of this reading to ids, where the two differ: the next reading takes it.
    """

    resources: Sequence[Resource]
    aliases: Mapping[str, str]


def match(
    resources: Sequence[Resource],
    known: Mapping[str, str | None],
    aliases: Mapping[str, str],
    fingerprinter: Fingerprinter,
) -> Matched:
    """Give every resource, whose id is its name in the feed, its id and its version.

    `known` are the ids and versions of the index. No id is given twice.
    """
    versions = [version_of(resource, fingerprinter) for resource in resources]
    matching = _Matching(resources, versions, known, aliases)
    # Content before names: some feeds number their events through, and one that goes shifts all others.
    matching.by_name(unchanged=True)
    matching.by_likeness(_content)
    matching.by_name(unchanged=False)
    matching.by_likeness(_title_and_times)
    matching.by_elimination()
    ids = matching.all_ids()
    found = [
        replace(resource, id=resource_id, uid=_shown(resource.uid) or resource_id, version=version)
        for resource, resource_id, version in zip(resources, ids, versions, strict=True)
    ]
    named = ((resource.id, resource_id) for resource, resource_id in zip(resources, ids, strict=True))
    return Matched(found, {name: found_id for name, found_id in named if name and found_id != _id_of(name)})


class _Matching:
    """Each step gives ids to resources that have none yet, out of those that nobody has yet."""

    def __init__(
        self,
        resources: Sequence[Resource],
        versions: Sequence[str],
        known: Mapping[str, str | None],
        aliases: Mapping[str, str],
    ) -> None:
        self._resources = resources
        self._versions = versions
        self._known = known
        self._aliases = aliases
        self._ids: dict[int, str] = {}
        self._taken: set[str] = set()

    def by_name(self, *, unchanged: bool) -> None:
        for number, resource in self._open():
            resource_id = self._aliases.get(resource.id) or _id_of(resource.id)
            if not resource.id or resource_id not in self._known or resource_id in self._taken:
                continue
            if not unchanged or _content(self._known[resource_id] or "") == _content(self._versions[number]):
                self._take(number, resource_id)

    def by_likeness(self, likeness: Callable[[str], str]) -> None:
        free: defaultdict[str, list[str]] = defaultdict(list)
        for known_id in self._gone():
            free[likeness(self._known[known_id] or "")].append(known_id)
        for number, _ in self._open():
            if alike := free[likeness(self._versions[number])]:
                self._take(number, alike.pop())

    def by_elimination(self) -> None:
        """A nameless event that cannot be read is like no other: it may be any of those that are not there."""
        gone = self._gone()
        for number, resource in self._open():
            if resource.problem is not None and not resource.id and gone:
                self._take(number, gone.pop())

    def all_ids(self) -> list[str]:
        """The ids of all resources; those that are left get new ones."""
        numbers: Counter[str] = Counter()
        for number, resource in self._open():
            wanted = found = _id_of(resource.id or _title_and_times(self._versions[number]))
            while found in self._taken:
                numbers[wanted] += 1
                found = f"{wanted}#{numbers[wanted] + 1}"
            self._take(number, found)
        return [self._ids[number] for number in range(len(self._resources))]

    def _open(self) -> list[tuple[int, Resource]]:
        return [item for item in enumerate(self._resources) if item[0] not in self._ids]

    def _gone(self) -> list[str]:
        """Known ids that nobody has, the lowest last, so that it goes first."""
        return sorted(self._known.keys() - self._taken, reverse=True)

    def _take(self, number: int, resource_id: str) -> None:
        self._ids[number] = resource_id
        self._taken.add(resource_id)


def version_of(resource: Resource, fingerprinter: Fingerprinter) -> str:
    """A fingerprint of its title and times, one of all that it says, and one of its UID.

    DTSTAMP, SEQUENCE and the like are no part of it: many feeds make them anew at every reading.
    """
    contents = [
        (component, resource.contents.get(component.original, Content()))
        for component in sorted(resource.components, key=lambda component: component.original)
    ]
    title_and_times = [part for component, content in contents for part in (_times(component), content.title)]
    everything = [part for component, content in contents for part in (_all(component), *_texts(content))]
    rest = (resource.mark or "", resource.problem or "", *everything)
    parts = (("times", *title_and_times), ("event", *rest), ("uid", resource.uid))
    return ".".join(fingerprinter.of(*part) for part in parts)


def _content(version: str) -> str:
    return version.rpartition(".")[0]


def _title_and_times(version: str) -> str:
    return version.partition(".")[0]


def _times(component: Component) -> str:
    when = (component.start, component.end, component.duration, component.recurrence_id)
    return f"{'/'.join(map(str, when))} {component.recurrence}"


def _all(component: Component) -> str:
    return repr(replace(component, uid=""))


def _texts(content: Content) -> Iterable[str]:
    many = (content.categories, content.attendees)
    return (content.title, content.description, content.location, *("\n".join(texts) for texts in many))


def _id_of(name: str) -> str:
    """A name as an id: itself, where it can be shown and kept."""
    return _shown(name) or sha256(name.encode("utf-8", "replace")).hexdigest()


def _shown(name: str) -> str:
    return name if len(name) <= _LONGEST_ID and name.isprintable() else ""
