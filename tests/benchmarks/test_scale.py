"""What `make bench-scale` works out by itself: its mix, its calendars, its arithmetic, its tables."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.scale import calendar, mix, report
from benchmarks.scale.calendar import ScaleCalendar, open_calendar
from benchmarks.scale.figures import Snapshot, Table, costs, percentile, slope
from benchmarks.scale.mix import Kind
from benchmarks.scale.paces import polls_a_day, polls_a_day_at_most
from benchmarks.scale.processes import ScaleError, warnings
from benchmarks.scale.soak import Sample, growth, heap_bytes, index_bytes, memory
from calendarsync.providers.base import Batch, NotAuthorized, RateLimited
from calendarsync.store.postgresql_tenancy import settings_of
from calendarsync.store.tenancy import Tenant

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
NOTHING = Table(0, 0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("pairs", [2_000, 5_003, 100_000])
def test_every_pair_is_in_one_account(pairs: int) -> None:
    made = list(mix.accounts(pairs))
    numbers = [number for account in made for number in range(account.first, account.first + account.pairs)]
    assert numbers == list(range(pairs))
    sizes = Counter(account.pairs for account in made)
    assert (max(sizes), sizes[int(pairs * 0.4 / 300)] >= 300) == (pairs // 10, True)


def test_grants_are_of_the_stated_kinds() -> None:
    account = mix.Account(0, 0, 200_000)
    kinds = Counter(mix.end(account, place, "a").kind for place in range(0, account.pairs, 4))
    total = sum(kinds.values())
    assert kinds[Kind.THROTTLED] / total == pytest.approx(mix.THROTTLED, rel=0.2)
    assert kinds[Kind.EXPIRED] / total == pytest.approx(mix.EXPIRED, rel=0.2)


def test_an_ends_calendar_tells_its_kind_and_four_share_a_grant() -> None:
    account = next(mix.accounts(5_000))
    ends = [mix.end(account, place, side) for place in range(400) for side in "ab"]
    assert all(mix.kind_of(end.calendar_id) is end.kind for end in ends)
    assert len({end.id for end in ends}) == len({end.calendar_key for end in ends}) == 800
    assert set(Counter(end.grant for end in ends).values()) == {4}
    assert len({(end.grant, end.provider, end.kind) for end in ends}) == 200
    settings_of(Tenant(account.id, "live"))  # raises ValueError for what is no id of ours


async def read(opened: ScaleCalendar, cursor: str) -> tuple[str | None, list[Batch]]:
    batches: list[Batch] = []

    async def keep(batch: Batch) -> None:
        batches.append(batch)

    async def known() -> dict[str, str | None]:
        return {}

    return (await opened.read(cursor, known, keep)).cursor, batches


async def test_an_event_is_added_then_changed_then_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar.random, "random", lambda: 0.0)
    opened = ScaleCalendar("7a", Kind.WELL, lambda: NOW)
    (one, [added]), (two, [changed]), (three, [removed]) = [await read(opened, str(n)) for n in range(3)]
    assert (one, two, three) == ("1", "2", "3")
    [before], [after] = added.changed, changed.changed
    assert before.id == after.id == removed.removed[0]
    assert before.version != after.version
    assert before.components[0].start != after.components[0].start
    _, [another] = await read(opened, "3")
    assert another.changed[0].id != before.id


async def test_most_readings_find_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar.random, "random", lambda: mix.CHANGED / 2)
    assert await read(ScaleCalendar("7a", Kind.WELL, lambda: NOW), "5") == ("5", [])


@pytest.mark.parametrize(("kind", "error"), [(Kind.THROTTLED, RateLimited), (Kind.EXPIRED, NotAuthorized)])
async def test_other_calendars_answer_as_their_kind_does(kind: Kind, error: type[Exception]) -> None:
    with pytest.raises(error):
        await read(open_calendar("google", f"https://calendars.example.com/{kind}/7a/", {}), "0")


def test_a_log_is_judged_by_its_levels() -> None:
    lines = [{"level": "info", "event": "started"}, *[{"level": "warning", "event": "claim_lost"}] * 2]
    assert warnings("worker", "\n".join(map(json.dumps, lines))) == {"claim_lost": 2}
    for bad in ('{"level": "error", "event": "run_lost"}', "Traceback (most recent call last):", "[]"):
        with pytest.raises(ScaleError):
            warnings("worker", bad)


def test_figures() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], share) for share in (0.0, 0.5, 0.75, 0.99)] == [1, 2, 3, 4]
    assert math.isnan(percentile([], 0.5))
    assert slope([0, 1, 2, 3], [5, 7, 9, 11]) == pytest.approx(2)
    assert slope([1], [5]) == 0


def test_costs_of_a_run_are_what_was_written_between() -> None:
    before = Snapshot(NOW, {"pairs": NOTHING}, 1_000)
    pairs = replace(NOTHING, updated=20, updated_in_place=5, table_bytes=8192)
    runs = replace(NOTHING, inserted=10, index_bytes=16_384)
    found = costs(before, Snapshot(NOW, {"pairs": pairs, "runs": runs}, 21_000), 10)
    assert found.rows == {"pairs": 2, "runs": 1}
    assert found.table_bytes == {"pairs": 819.2, "runs": 1638.4}
    assert (found.updates_in_place, found.wal_bytes) == (0.25, 2_000)


def samples(growing: float) -> list[Sample]:
    """Ten minutes; the first ones warm up. 100 rows a minute are added, and 10 deleted."""
    return [
        Sample(
            minute=minute,
            rate=100,
            p50=0.1,
            p99=0.2,
            megabytes={"worker1": 100 + 20 * min(minute, 3) + growing * minute, "api": 50},
            tables={
                "runs": replace(
                    NOTHING, inserted=100 * minute, deleted=10 * minute, table_bytes=9_000 * minute
                ),
                "accounts": NOTHING,
            },
        )
        for minute in range(1, 11)
    ]


def test_memory_is_flat_where_it_grows_no_more() -> None:
    slopes, flat = memory(samples(0.1))
    assert flat
    assert slopes == pytest.approx({"worker1": 6, "api": 0}, abs=1)
    assert not memory(samples(1))[1]


def test_tables_are_set_beside_their_rows() -> None:
    found = growth(samples(0), {"runs": 100})
    assert list(found) == ["runs"]
    assert (found["runs"].rows, found["runs"].bytes, found["runs"].expected) == (540, 54_000, 54_000)


def test_a_rows_bytes_follow_from_the_layout_of_pages() -> None:
    assert heap_bytes(60) == 8192 / 120  # 64 and its pointer: 120 in a page
    assert index_bytes(8, 0.7) == pytest.approx((16 + 4) / 0.7)
    assert index_bytes(9, 0.9) == pytest.approx((24 + 4) / 0.9)


def test_paces_of_the_mix() -> None:
    assert polls_a_day_at_most() == 288
    assert polls_a_day(pushed=0) == pytest.approx(0.2 * 288 + 0.3 * 100 + 0.5 * 72)
    assert polls_a_day(pushed=1) == pytest.approx(48)


def result(pairs: int, rate: float) -> dict[str, object]:
    measurement = {
        "workers": 2,
        "rate": rate,
        "bare_rate": 2_000.0,
        "p50": 0.05,
        "p99": 0.4,
        "cpu_workers": 0.5,
        "cpu_database": 0.3,
        "megabytes_start": [120.0],
        "megabytes_end": [121.0, 125.0],
        "first_claim_seconds": 1.5,
        "wal_records": 4000.0,
        "runs": {"total": 60_000, "changed": 1_800, "throttled": 60, "expired": 0, "triggered": 600},
        "costs": {
            "rows": {"pairs": 2.0, "runs": 1.0, "pgqueuer": 5.0},
            "updates_in_place": 0.1,
            "table_bytes": {"runs": 600.0, "pairs": 50.0},
            "wal_bytes": 9000.0,
        },
    }
    filled = {"bytes_a_pair": {"pairs": 1_500.0}, "migrate_empty_seconds": 0.5, "migrate_seconds": 2.0}
    return {
        "pairs": pairs,
        "measurements": [measurement],
        "filled": filled,
        "soak": None,
        "machine": "A machine.",
        "server": "A server.",
    }


def test_tables_stand_between_their_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- measured at scale -->\nold\n<!-- end of scale -->\nafter\n")
    monkeypatch.setattr(report, "PAGE", page)
    file = tmp_path / "found" / "large.json"
    report.save(file, result(1_000_000, 700.0))
    report.write([report.load(file), result(100_000, 1_000.0)])
    text = page.read_text()
    assert text.startswith("before\n<!-- measured at scale -->\n")
    assert text.endswith("<!-- end of scale -->\nafter\n")
    assert "old" not in text
    assert "| 1,000,000 | 2 | 700 | 2,000 | 50 ms | 400 ms | 0.50 ms, 0.30 ms | 120, 125 MB | 1.5 s |" in text
    assert text.index("| 100,000 | 2 |") < text.index("| 1,000,000 | 2 |")
    assert "| 100,000 | 1,500 bytes | 0.5 s | 2.0 s | 28.8 million, 86 million, 115.2 GB, 17.3 GB |" in text
    assert "Not met: 30% with 2." in text
    assert "Met: 400 ms at most." in text
