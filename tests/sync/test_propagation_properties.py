"""Rule 17: whatever people do to copies, it travels or is put right, and all comes to rest."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calendarsync.providers.icalendar import read_resource
from tests.sync.helpers import sync_anew
from tests.sync.test_properties import FIRST, LAST, WINDOW, calendars
from tests.testbed.memory_desk import MemoryDesk, memory_desk

pytestmark = pytest.mark.rule(17)

_TIME = re.compile(r"^((?:DTSTART|DTEND)[^:\n]*:)(\d{8}T\d{6})(Z?)$", re.MULTILINE)
_EDITED = re.compile(r"(DTSTART|DTEND|DTSTAMP|SEQUENCE|SUMMARY|LOCATION)[;:]|END:VCALENDAR")


@dataclass(frozen=True)
class Edit:
    """Of the `copy`-th copy and its `part`-th component, each counted round. None and 0: stays as it is."""

    copy: int
    part: int
    title: str | None
    place: str | None
    minutes: int

    def __call__(self, text: str) -> str:
        head, *events = text.replace("\r\n ", "").replace("\r\n", "\n").split("BEGIN:VEVENT\n")
        place = self.part % len(events)
        event = events[place]
        if self.title is not None:
            event = re.sub(r"SUMMARY:.*", f"SUMMARY:[W] {self.title}", event)
        if self.place is not None:
            event = re.sub(r"LOCATION:.*\n", "", event)
            event = event.replace("SUMMARY:", f"LOCATION:{self.place}\nSUMMARY:")
        if self.minutes:
            event = _TIME.sub(lambda found: f"{found[1]}{self._moved(found[2])}{found[3]}", event)
        events[place] = event
        return "BEGIN:VEVENT\n".join([head, *events]).replace("\n", "\r\n")

    def _moved(self, stamp: str) -> str:
        moment = datetime.strptime(stamp, "%Y%m%dT%H%M%S") + timedelta(minutes=self.minutes)  # noqa: DTZ007
        return f"{moment:%Y%m%dT%H%M%S}"


NAMES = st.none() | st.sampled_from(["Lunch", "New\\, newer", "ü ☕"])
MINUTES = st.just(0) | st.integers(-20, 20).map(lambda number: number * 15)
EDITS = st.lists(
    st.builds(Edit, st.integers(0, 9), st.integers(0, 2), NAMES, NAMES, MINUTES), min_size=1, max_size=4
)


def others(data: bytes) -> list[list[str]]:
    """The lines of each event that no edit of these tests changes, the calendar's own in front."""
    parts = re.sub(rb"\r\n[ \t]", b"", data).decode().split("BEGIN:VEVENT")
    return [[line for line in part.split("\r\n") if not _EDITED.match(line)] for part in parts]


def single(data: bytes) -> bool:
    components = read_resource("", None, data).components
    return len(components) == 1 and components[0].recurrence is None


def edit_all(at: MemoryDesk, edits: Sequence[Edit]) -> dict[str, tuple[bytes, Edit]]:
    """The copies that were edited, each once."""
    names = sorted(at.store("b").resources)
    done: dict[str, tuple[bytes, Edit]] = {}
    for edit in edits:
        name = names[edit.copy % len(names)]
        if name not in done:
            data = at.store("b").resources[name][1]
            at.store("b").put(name, edit(data.decode()))
            done[name] = (data, edit)
    return done


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(calendars("a"), EDITS, st.sampled_from([None, "a0.ics", "a1.ics"]))
def test_whatever_people_do_to_copies_all_comes_to_rest(
    sources: dict[str, str], edits: list[Edit], renamed: str | None
) -> None:
    """`renamed`: a source that somebody changes at the same time, which wins."""

    async def story(folder: Path) -> None:
        async with memory_desk(folder) as at:
            for name, data in sources.items():
                at.store("a").put(name, data)
            options = {"on_copy_edited": "propagate", "title": "[W] {title}", **WINDOW}
            pair = await at.pair(sync_mode="full", direction="a_to_b", **options)
            await at.app.sync(pair)
            if not at.store("b").resources:
                return
            if renamed in sources:
                at.store("a").put(renamed, sources[renamed].replace("SUMMARY:Planning", "SUMMARY:Theirs"))
            before = {name: data for name, (_, data) in at.store("a").resources.items()}
            edit_all(at, edits)
            await at.app.sync(pair)
            after = {name: data for name, (_, data) in at.store("a").resources.items()}
            assert after.keys() == before.keys()
            for name, data in before.items():
                kept = others(data)
                assert others(after[name])[: len(kept)] == kept
                if name == renamed:
                    assert after[name] == data
            assert at.busy("b", FIRST, LAST, copies=True) == at.busy("a", FIRST, LAST, copies=False)
            assert (await sync_anew(at, pair)).operations == ()
            assert {name: data for name, (_, data) in at.store("a").resources.items()} == after

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Path(folder)))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_every_edit_of_a_single_event_arrives_whole(data: st.DataObject) -> None:
    async def story(folder: Path) -> None:
        async with memory_desk(folder) as at:
            sources = data.draw(calendars("a"))
            for name, text in sources.items():
                at.store("a").put(name, re.sub(r"(RRULE|EXRULE|RDATE).*\r\n", "", text))
            for name, (_, text) in list(at.store("a").resources.items()):
                if not single(text):
                    at.store("a").delete(name)
            pair = await at.pair(
                sync_mode="full",
                direction="a_to_b",
                on_copy_edited="propagate",
                title="[W] {title}",
                **WINDOW,
            )
            await at.app.sync(pair)
            if not at.store("b").resources:
                return
            edited = edit_all(at, data.draw(EDITS))
            shown = {name: read_resource(name, None, at.store("b").resources[name][1]) for name in edited}
            await at.app.sync(pair)
            for name, resource in shown.items():
                if name not in at.store("b").resources:
                    continue  # moved out of what is kept in step
                after = read_resource(name, None, at.store("b").resources[name][1])
                assert after.contents == resource.contents
                assert after.components == resource.components
            assert (await sync_anew(at, pair)).operations == ()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(Path(folder)))
