"""What the convergence machine found (tests/sync/machine), each as a story of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sync.helpers import WEEKLY, delete_instance, done, only, starts, sync_anew
from tests.sync.machine.people import Draft, shifted
from tests.sync.machine.world import World
from tests.testbed.difficult import Temper
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.installation import START, Installation, installation
from tests.testbed.memory_desk import MemoryDesk, memory_desk

INVITED = "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:alice@work.example"


@pytest.fixture
async def at(quick_folder: Path) -> AsyncIterator[MemoryDesk]:
    async with memory_desk(quick_folder) as made:
        yield made


@pytest.fixture
async def app(quick_folder: Path) -> AsyncIterator[Installation]:
    async with installation(quick_folder) as made:
        yield made


@pytest.mark.rule(20)
async def test_rule_20_a_kept_copy_is_no_copy_of_the_next_pair_though_its_calendar_tells_late(
    app: Installation,
) -> None:
    """For one more reading its mark is still shown: the new pair would have taken the event over."""
    world = World(app)
    await world.begin({"a": Temper(), "b": Temper(lag=1)})
    draft = Draft(START.replace(hour=9, tzinfo=None), START - START.replace(hour=5))
    world.put("a", "a.ics", draft.render("uid-a"), draft)
    first = await world.make_pair("a", "b", "blocker", "a_to_b", {})
    await world.settle()
    first.removal = "keep"
    await world.change(first, removal="keep")
    world.stores["b"].calm = False
    await world.run(first)
    second = await world.make_pair("a", "b", "blocker", "a_to_b", {})
    for _ in range(3):
        report = await world.run(second)
        assert report is not None
        assert ("adopt", "adopted") not in done(report)
    (kept,) = world.stores["b"].resources
    assert (kept, world.stores["b"].ours) == (kept, set())


async def _killed_after_the_first_write(at: MemoryDesk, pair: str) -> None:
    """The create arrives, and nothing of it is noted."""
    fault = at.faults["http://127.0.0.1:1/b/"]
    fault.after = {fault.calls + 2}  # a reading comes before it
    await at.app.run(pair)
    fault.after = set()


@pytest.mark.rule(17)
@pytest.mark.rule(14)
async def test_rule_17_a_copy_that_was_moved_before_its_create_was_answered_is_put_right(
    at: MemoryDesk,
) -> None:
    """Its mark says what it was written from, and that is what is wanted: it was taken as it stood."""
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    at.store("a").put("4.ics", event("uid-4", "20260304T090000", "20260304T100000"))
    await _killed_after_the_first_write(at, pair)
    name, data = only(at)
    at.store("b").put(name, shifted(data, days=1))
    assert starts(at) == ["03-05 08:00"]
    await at.app.sync(pair)
    assert starts(at) == ["03-04 08:00"]


@pytest.mark.rule(17)
async def test_rule_17_an_instance_deleted_before_its_create_was_answered_stays_away(at: MemoryDesk) -> None:
    pair = await at.pair(direction="a_to_b", sync_mode="full")
    await at.app.sync(pair)
    weekly = "RRULE:FREQ=WEEKLY;COUNT=4"
    at.store("a").put("4.ics", event("uid-4", "20260304T090000", "20260304T100000", extra=weekly))
    await _killed_after_the_first_write(at, pair)
    name, data = only(at)
    at.store("b").put(name, delete_instance(data, "20260311T090000"))
    await at.app.sync(pair)
    assert starts(at) == ["03-04 08:00", "03-18 08:00", "03-25 08:00"]
    at.store("a").put(
        "4.ics", event("uid-4", "20260304T090000", "20260304T100000", title="Renamed", extra=weekly)
    )
    await at.app.sync(pair)
    assert starts(at) == ["03-04 08:00", "03-18 08:00", "03-25 08:00"]


@pytest.mark.rule(12)
@pytest.mark.rule(17)
@pytest.mark.parametrize("also", ["options", "source"])
async def test_rule_17_an_instance_deleted_while_the_form_changes_stays_away(
    at: MemoryDesk, also: str
) -> None:
    """The series is copied by its instances from the same run on that sees one of them deleted."""
    series = [f"RRULE:FREQ=WEEKLY;COUNT=3\n{INVITED}", "RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000"]

    def source(master: str) -> str:
        return vcalendar(
            vevent("uid-4", "20260304T090000", "20260304T100000", extra=master),
            vevent("uid-4", "20260311T140000", "20260311T150000", extra=series[1]),
        )

    at.store("a").put("4.ics", source(series[0]))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    assert starts(at) == ["03-04 08:00", "03-11 13:00", "03-18 08:00"]
    name, data = only(at)
    at.store("b").put(name, delete_instance(data, "20260311T090000"))
    if also == "options":
        await at.app.change_pair(
            pair, options={"include_unanswered": False}, quiet_state=None, quiet_until=None
        )
    else:
        at.store("a").put("4.ics", source(series[0].replace("NEEDS-ACTION", "DECLINED")))
    await at.app.sync(pair)
    assert starts(at) == []
    await at.app.sync(pair)
    assert starts(at) == []


@pytest.mark.rule(20)
@pytest.mark.parametrize("removal", ["keep", "remove"])
async def test_rule_20_a_copy_that_changed_and_left_the_window_unseen_is_removed_with_its_pair(
    app: Installation, removal: str
) -> None:
    """No reading shows its new version any more, so that no write to it was allowed: the removal never ended."""
    world = World(app)
    await world.begin({"a": Temper(), "b": Temper(windowed=True)})
    draft = Draft(START.replace(hour=9, tzinfo=None), START - START.replace(hour=5))
    world.put("a", "a.ics", draft.render("uid-a"), draft)
    pair = await world.make_pair("a", "b", "blocker", "a_to_b", {})
    await world.settle()
    (copy,) = world.stores["b"].ours
    world.edit(copy=copy, name="b", data=shifted(world.stores["b"].resources[copy][1], hours=1))
    app.clock.advance(days=20)
    pair.removal = removal
    await world.change(pair, removal=removal)
    await world.run(pair)
    assert world.pairs == []
    assert world.stores["b"].ours == set()


@pytest.mark.rule(17)
@pytest.mark.parametrize("unheard", range(1, 4))
async def test_rule_17_an_instance_that_was_taken_out_stays_away_though_an_answer_was_not_heard(
    at: MemoryDesk, unheard: int
) -> None:
    """The copy was written anew without it, and nothing remembered why: the next run put the instance back."""
    at.store("a").put("s.ics", vcalendar(vevent("s", extra=WEEKLY)))
    pair = await at.pair(direction="a_to_b")
    await at.app.sync(pair)
    name, data = only(at)
    at.store("b").put(name, delete_instance(data, "20260311T090000"))
    calls = at.faults["http://127.0.0.1:1/b/"]
    calls.calls, calls.after = 0, {unheard}
    await at.app.run(pair)
    calls.after = set()
    await sync_anew(at, pair)
    assert starts(at) == ["03-04 08:00", "03-18 08:00", "03-25 08:00"]
