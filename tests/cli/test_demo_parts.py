"""The parts of the demo: its fortnight on any day, its picture in any terminal, its judgement."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from calendarsync.cli.app import app
from calendarsync.demo import processes, story
from calendarsync.demo.check import OTHER, Reading
from calendarsync.demo.data import BERLIN, HOME, WORK, Fortnight, fortnight
from calendarsync.demo.interrupts import interruptible, undisturbed
from calendarsync.demo.picture import FANCY, PLAIN, legend, week
from calendarsync.demo.server import Owner, Shown
from tests.testbed.radicale import RadicaleServer

MONDAY = date(2026, 11, 23)
# Every weekday, and weeks in which the clocks change in Berlin, in New York, or in one of them only.
DAYS = [MONDAY + timedelta(days=number) for number in range(7)]
CLOCKS = [date(2026, 3, 6), date(2026, 3, 20), date(2026, 3, 28), date(2026, 10, 24), date(2026, 10, 31)]


def on_server(radicale: RadicaleServer, plan: Fortnight) -> dict[str, Sequence[Shown]]:
    """What a real server shows of the samples."""
    shown = {}
    for name in OTHER:
        url = f"{radicale.home}{uuid.uuid4().hex}/"
        owner = Owner(name, url, radicale.username, radicale.password, f"you@{name.lower()}.example.com")
        owner.make_calendar()
        for sample in plan.samples:
            if sample.calendar == name:
                owner.put(sample.resource, sample.data)
        shown[name] = owner.occurrences(plan.first_moment, plan.first_moment + timedelta(days=14))
    return shown


def copied(shown: Mapping[str, Sequence[Shown]]) -> dict[str, Sequence[Shown]]:
    """The same with the copies that a sync would write."""
    busy = {name: {event.uid for event in events if event.busy} for name, events in shown.items()}
    return {
        name: [
            *events,
            *(
                replace(
                    event, resource=f"cs-{event.resource}", uid=f"cs-{event.uid}", title="Busy", copy=True
                )
                for event in shown[OTHER[name]]
                if event.busy and event.uid not in busy[name]
            ),
        ]
        for name, events in shown.items()
    }


def reading(shown: Mapping[str, Sequence[Shown]]) -> Reading:
    stored = {name: {event.resource: b"SUMMARY:Busy" for event in events} for name, events in shown.items()}
    return Reading(shown, stored)


@pytest.mark.parametrize("today", [*DAYS, *CLOCKS], ids=str)
def test_the_fortnight_is_whole_on_any_day(radicale: RadicaleServer, today: date) -> None:
    plan = fortnight(today)
    shown = on_server(radicale, plan)
    for sample in plan.samples:
        assert [event for event in shown[sample.calendar] if event.resource == sample.resource], sample.title
    end_of_week = plan.first_moment + timedelta(days=7)
    timed = [
        event for event in shown[WORK] if isinstance(event.start, datetime) and event.start < end_of_week
    ]
    standups = sorted(
        event.start.astimezone(BERLIN).strftime("%a %H:%M") for event in timed if event.title == "Stand-up"
    )
    assert standups == ["Mon 09:30", "Tue 09:30", "Wed 14:00"]
    (call,) = (event for event in timed if event.resource == "call.ics")
    assert f"{call.start.astimezone(ZoneInfo('America/New_York')):%H:%M}" == "10:00"
    assert reading(copied(shown)).problems(plan) == []
    assert plan.first_moment <= plan.moved_to < end_of_week


@pytest.fixture(scope="module")
def synced() -> dict[str, Sequence[Shown]]:
    def event(day: int, hour: int, name: str, **more: object) -> Shown:
        start = datetime(2026, 11, 23 + day, hour, tzinfo=UTC)
        fields = {"title": name, "copy": False, "busy": True, "tentative": False} | more
        return Shown(start, start + timedelta(hours=1), f"{name}-uid", f"{name}.ics", **fields)  # type: ignore[arg-type]

    trip = replace(event(0, 0, "Trip"), start=MONDAY + timedelta(days=5), end=MONDAY + timedelta(days=7))
    sources = {
        WORK: [event(0, 8, "Plan"), event(3, 16, "Dinner", busy=False)],
        HOME: [event(1, 13, "Dentist"), trip],
    }
    return copied(sources)


@pytest.mark.parametrize("width", [20, 40, 65, 80, 100, 200])
@pytest.mark.parametrize("signs", [FANCY, PLAIN])
def test_the_picture_fits(synced: Mapping[str, Sequence[Shown]], width: int, signs: object) -> None:
    drawn = week(synced, MONDAY, width, signs).plain  # type: ignore[arg-type]
    assert max(map(len, drawn.splitlines())) <= max(width, 36)
    if signs is PLAIN:
        assert drawn.isascii()
        assert legend(PLAIN).plain.isascii()


def test_the_picture_tells_sources_from_copies_without_colour(synced: Mapping[str, Sequence[Shown]]) -> None:
    assert week(synced, MONDAY, 80, FANCY).plain.splitlines() == [
        "                       WORK                │                HOME",
        "        Mon  Tue  Wed  Thu  Fri  Sat  Sun  │ Mon  Tue  Wed  Thu  Fri  Sat  Sun",
        "all day                          ░Bus ░Bus │                          █Tri █Tri",
        "09:00   █Pla                               │ ░Bus",
        "        ████                               │ ░░░░",
        *("10:00                                      │", "                                           │"),
        *("11:00                                      │", "                                           │"),
        *("12:00                                      │", "                                           │"),
        *("13:00                                      │", "                                           │"),
        "14:00        ░Bus                          │      █Den",
        "             ░░░░                          │      ████",
        *("15:00                                      │", "                                           │"),
        *("16:00                                      │", "                                           │"),
        "17:00                  ·Din                │",
        "                       ····                │",
    ]


def test_entries_at_the_same_time_share_a_cell(synced: Mapping[str, Sequence[Shown]]) -> None:
    plan = synced[WORK][0]
    both = {WORK: [plan, replace(plan, copy=True, title="Busy")]}
    assert "09:00   █P░B" in week(both, MONDAY, 45, FANCY).plain


def test_the_judgement_bites(synced: Mapping[str, Sequence[Shown]]) -> None:
    plan = Fortnight(MONDAY, (), fortnight(MONDAY).moved, fortnight(MONDAY).moved_to)
    assert reading(synced).problems(plan) == []

    def home(*events: Shown) -> dict[str, Sequence[Shown]]:
        return {**synced, HOME: events}

    *sources, copy = synced[HOME]
    late = replace(copy, start=copy.start + timedelta(minutes=30))
    for wrong in (home(*sources), home(*sources, copy, copy), home(*sources, late)):
        assert "should hold copies" in reading(wrong).problems(plan)[0]
    named = replace(copy, title="Plan")
    assert reading(home(*sources, named)).problems(plan) == ['a copy in Home is called "Plan"']
    sample = replace(fortnight(MONDAY).samples[0], title="Plan", name="Plan")
    leaking = reading(synced)
    stored = {**leaking.stored, HOME: {copy.resource: b"X-NOTE:Plan"}}
    found = Reading(leaking.shown, stored).problems(replace(plan, samples=(sample,)))
    assert found == ['the title "Plan" stands in a copy in Home']
    unwanted = replace(sample, left_out="declined")
    assert reading(synced).problems(replace(plan, samples=(unwanted,))) == [
        "'Plan' occurs 1 times and has 1 copies"
    ]


def test_interrupts_wait_until_what_must_not_be_torn_is_done() -> None:
    done = []

    def work() -> None:
        with interruptible():
            with undisturbed():
                signal.raise_signal(signal.SIGTERM)
                done.append("cleaned up")
            done.append("went on")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["cleaned up"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_port_that_is_taken_meanwhile_leads_to_another(
    tmp_path: Path, radicale: RadicaleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = int(radicale.url.rstrip("/").rpartition(":")[2])
    free = processes._free_port
    ports = [taken]
    monkeypatch.setattr(processes, "_free_port", lambda: ports.pop() if ports else free())
    with processes.radicale(tmp_path / "radicale") as owners:
        assert str(taken) not in owners[WORK].url
        owners[WORK].make_calendar()


def test_a_missing_radicale_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["demo", "--once"])
    assert result.exit_code == 1
    assert "Error: Radicale" in result.stderr
    assert "calendarsync[demo]" in result.stderr


def test_a_sync_that_does_something_else_fails_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(today: date) -> Fortnight:
        plan = fortnight(today)
        first, *rest = plan.samples
        return replace(plan, samples=(replace(first, left_out="declined"), *rest))

    monkeypatch.setattr(story, "fortnight", wrong)
    result = CliRunner().invoke(app, ["demo", "--once"])
    assert result.exit_code == 1, result.output
    assert "Error: the calendars do not hold what they should" in result.stderr
    assert "'Stand-up' occurs 7 times and has 7 copies" in result.stderr
