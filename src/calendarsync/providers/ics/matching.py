"""Which event of a feed is which: ids that stay though the feed gives its events other UIDs. Pure.

An event is known by its name in the feed, which is its UID as a rule. Many feeds make new UIDs at every
reading, some have none: then an event is known by its content, all of it or at least its title and times.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
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
    ids: dict[int, str] = {}
    taken: set[str] = set()

    def take(number: int, resource_id: str) -> None:
        ids[number] = resource_id
        taken.add(resource_id)

    def by_name(*, unchanged: bool) -> None:
        for number, resource in enumerate(resources):
            resource_id = aliases.get(resource.id) or _id_of(resource.id)
            there = resource.id and resource_id in known and resource_id not in taken
            if number not in ids and there and (not unchanged or known[resource_id] == versions[number]):
                take(number, resource_id)

    def by_likeness(likeness: Callable[[str], str]) -> None:
        free = _by(likeness, known, taken)
        for number, version in enumerate(versions):
            if number not in ids and (alike := free.get(likeness(version))):
                take(number, alike.pop())

    # Content before names: some feeds number their events through, and one that goes shifts all others.
    by_name(unchanged=True)
    by_likeness(str)
    by_name(unchanged=False)
    by_likeness(_title_and_times)
    for number, (resource, version) in enumerate(zip(resources, versions, strict=True)):
        if number not in ids:
            take(number, _unused(_id_of(resource.id or _title_and_times(version)), taken))
    found = [
        replace(resource, id=ids[number], uid=resource.uid or ids[number], version=versions[number])
        for number, resource in enumerate(resources)
    ]
    names = ((resource.id, ids[number]) for number, resource in enumerate(resources) if resource.id)
    return Matched(found, {name: found_id for name, found_id in names if found_id != _id_of(name)})


def version_of(resource: Resource, fingerprinter: Fingerprinter) -> str:
    """A fingerprint of its title and times, and one of all that it says.

    UID, DTSTAMP, SEQUENCE and the like are no part of it: many feeds make them anew at every reading.
    """
    contents = [
        (component, resource.contents.get(component.original, Content()))
        for component in sorted(resource.components, key=lambda component: component.original)
    ]
    title_and_times = [part for component, content in contents for part in (_times(component), content.title)]
    everything = [part for component, content in contents for part in (_all(component), *_texts(content))]
    rest = (resource.mark or "", resource.problem or "", *everything)
    return f"{fingerprinter.of('times', *title_and_times)}.{fingerprinter.of('event', *rest)}"


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


def _by(
    likeness: Callable[[str], str], known: Mapping[str, str | None], taken: Container[str]
) -> Mapping[str, list[str]]:
    """The ids that are not taken, by what their versions are alike in; the lowest last, so that it goes first."""
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for known_id, version in sorted(known.items(), reverse=True):
        if version is not None and known_id not in taken:
            ids[likeness(version)].append(known_id)
    return ids


def _id_of(name: str) -> str:
    """A name as an id: itself, where it can be shown and kept."""
    return (
        name
        if len(name) <= _LONGEST_ID and name.isprintable()
        else sha256(name.encode("utf-8", "replace")).hexdigest()
    )


def _unused(wanted: str, taken: set[str]) -> str:
    number, found = 1, wanted
    while found in taken:
        number += 1
        found = f"{wanted}#{number}"
    return found
