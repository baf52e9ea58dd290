"""Real calendars: whatever they hold, reading them is quick and breaks on nothing."""

from __future__ import annotations

from datetime import timedelta
from time import process_time

from calendarsync.domain.event import Resource
from calendarsync.domain.recurrence import expand, holdable, occurs_in, span
from calendarsync.providers.icalendar import read_feed, read_resource, without_mark
from tests.corpus.files import corpus_files

YEARS = timedelta(days=3 * 365)


def test_every_calendar_is_read_quickly() -> None:
    """As one resource, and as a feed where it can be read at all."""
    unreadable = []
    for path in corpus_files():
        data = path.read_bytes()
        began = process_time()
        read_resource("id", None, data)
        assert without_mark(data) == data
        try:
            resources = read_feed(data).resources
        except ValueError:
            unreadable.append(path.name)
            continue
        for resource in resources:
            if resource.problem is None:
                use(resource)
        assert process_time() - began < 10, path.name
    assert len(unreadable) < 30, unreadable  # most are fragments without a VCALENDAR


def use(resource: Resource) -> None:
    first, last = span(resource.components, "UTC")
    holdable(resource.components)
    found = expand(resource.components, first, first + YEARS, "UTC")
    assert occurs_in(resource.components, first, first + YEARS, "UTC") is bool(found)
    assert last is None or all(one.end.instant("UTC") <= last for one in found)
