"""docs/guide/scale.md says what the arithmetic of scale computes, and that computes what it says.

`CALENDARSYNC_WRITE_TABLES=1` writes the page's tables.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale import arithmetic, tables
from benchmarks.scale.arithmetic import CONNECTIONS, DAY, Limits, Load, ends, scale, unwatched_interval
from benchmarks.scale.costs import MEASURED, UnitCosts
from calendarsync.jobs.channels import MARGIN, SPREAD
from calendarsync.jobs.tidy import KEEP_EVENTS, KEEP_ORDERS
from calendarsync.providers.microsoft.watching import LONGEST
from calendarsync.settings import Settings
from calendarsync.store.tables import metadata
from calendarsync.sync.pace import interval, quiet_period, slowest_interval
from calendarsync.sync.turns import SHARE_OF_POLLS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guide" / "scale.md"
shares = st.floats(0.01, 0.45)
loads = st.builds(
    Load,
    pairs=st.integers(1, 10**8),
    push=st.floats(0, 1),
    google=shares,
    microsoft=shares,
    changes=st.floats(0.001, 50),
    still=st.floats(0, 1),
    events=st.floats(0, 5000),
    log_days=st.floats(1, 90),
    poll_seconds=st.floats(1, 86_400),
    slowest_seconds=st.floats(1, 86_400),
)


def _places(page: str) -> dict[str, tuple[int, int]]:
    found = re.finditer(r"<!-- ([a-z ]+) -->\n(.*?)<!-- end -->", page, re.DOTALL)
    return {place[1]: place.span(2) for place in found}


@pytest.mark.parametrize("name", sorted(tables.page_tables()))
def test_the_page_says_what_is_computed(name: str) -> None:
    page = PAGE.read_text()
    start, end = _places(page)[name]
    computed = "".join(f"{row}\n" for row in tables.page_tables()[name])
    if os.environ.get("CALENDARSYNC_WRITE_TABLES"):
        PAGE.write_text(page[:start] + computed + page[end:])
        return
    assert page[start:end] == computed, "write the tables with CALENDARSYNC_WRITE_TABLES=1, and read the page"


def test_every_place_on_the_page_is_filled() -> None:
    assert _places(PAGE.read_text()).keys() == tables.page_tables().keys()


def test_other_costs_make_other_tables() -> None:
    """All but the assumptions and what follows from the pace and the providers' limits alone."""
    dearer = replace(
        MEASURED,
        machine="another",
        row_bytes={name: value * 3 for name, value in MEASURED.row_bytes.items()},
        **{each.name: getattr(MEASURED, each.name) * 3 for each in fields(UnitCosts) if each.metadata},
    )
    here, there = tables.page_tables(), tables.page_tables(dearer)
    same = {name for name in here if here[name] == there[name]}
    assert same == {"assumed", "providers", "push", "pace"}


def test_polls_of_pairs_under_push_are_counted_by_hand() -> None:
    """Rule 27: a poll in half an hour. 1,800,000 pairs without a change: 1,000 polls a second, 2,000 requests."""
    at = scale(Load(1_800_000, push=1.0, google=0.5, microsoft=0.5, changes=0.0), MEASURED)
    assert (at.polls, at.runs, at.notices) == pytest.approx((1000, 1000, 0))
    assert at.google_polls_minute == pytest.approx(60_000)
    channels = 1_800_000 / (6.05 * DAY)
    assert at.google_others_minute == pytest.approx(channels * 2 * 60)
    renewed = channels + 1_800_000 / (4200 * 60 - 0.95 * DAY)
    assert at.renewals == pytest.approx(renewed)
    assert at.tokens == pytest.approx(1000)  # an hour each, of 3,600,000 grants
    assert at.rows["runs"] == pytest.approx(1_800_000 * (48 + 6 * 24))
    assert at.rows["event_index"] == 1_800_000 * 2 * 500


def test_a_change_is_counted_by_hand() -> None:
    """Two runs of two requests each; what it is compared with, and the PATCH, which Google counts three times."""
    without, once = (
        scale(Load(86_400, push=1.0, google=1.0, microsoft=0.0, changes=changes), MEASURED)
        for changes in (0.0, 1.0)
    )
    assert once.changes == pytest.approx(1.0)
    assert once.notices == pytest.approx(2.0)
    assert once.google_others_minute - without.google_others_minute == pytest.approx(60 * (4 + 1 + 3))
    assert once.rows["operations"] == pytest.approx(86_400 * 7 * (1 + 2 * 5))
    assert once.rows["deliveries"] == pytest.approx(86_400 * 30)


@given(loads)
def test_everything_grows_as_the_pairs_do(load: Load) -> None:
    one, ten = scale(load, MEASURED), scale(replace(load, pairs=load.pairs * 10), MEASURED)
    for each in (
        "runs",
        "google_peak_minute",
        "microsoft_10_seconds",
        "tokens",
        "wal_low",
        "wal_high",
        "worker_cores",
    ):
        assert getattr(ten, each) == pytest.approx(getattr(one, each) * 10), each
    assert ten.total_bytes == pytest.approx(one.total_bytes * 10)
    assert one.wal_low <= one.wal_high
    assert one.unwatched_seconds == ten.unwatched_seconds


@given(loads)
def test_an_interval_is_one_that_the_pace_allows(load: Load) -> None:
    """Rule 27."""
    slowest = interval(load.poll_seconds, load.slowest_seconds, unchanged=float("inf"))
    between = unwatched_interval(load)
    assert load.poll_seconds <= between * 1.000001
    assert between <= slowest * 1.000001
    assert scale(load, MEASURED).watched_seconds == slowest_interval(load.poll_seconds, load.slowest_seconds)


@given(loads)
def test_more_changes_never_slow_the_polls_down(load: Load) -> None:
    """Rule 27."""
    assert unwatched_interval(replace(load, changes=load.changes * 2)) <= unwatched_interval(load) * 1.000001


@given(loads)
def test_each_limit_is_reached_where_it_is_said_to_end(load: Load) -> None:
    limits = Limits()
    reached = ends(load, MEASURED, limits)
    assert list(reached.values()) == sorted(reached.values())

    def at(name: str) -> arithmetic.Scale:
        made = replace(load, pairs=round(reached[name] * 1000))  # in thousandths: pairs are whole
        return scale(made, MEASURED)

    assert at("Google's requests a day without charge").google_day / 1000 == pytest.approx(1e6, rel=1e-2)
    minute = at("Google's requests a minute, with room for what people do")
    assert minute.google_peak_minute / 1000 == pytest.approx(8000, rel=1e-2)
    assert at("PostgreSQL's disk").total_bytes / 1000 == pytest.approx(limits.database_bytes, rel=1e-2)
    assert at("WAL, all pages written whole").wal_high / 1000 == pytest.approx(limits.wal_second, rel=1e-2)


@given(loads)
def test_the_quota_that_is_to_be_had_puts_no_poll_off(load: Load) -> None:
    at = scale(load, MEASURED)
    asked = Limits(google_minute=at.google_quota(Limits()))
    assert at.stretched(asked) == 1.0
    assert at.stretched(Limits(google_minute=at.google_peak_minute / 4)) > 1.0


def test_what_is_the_same_in_the_program() -> None:
    assert metadata.tables.keys() >= MEASURED.row_bytes.keys()
    assert scale(Load(1), MEASURED).rows.keys() == MEASURED.row_bytes.keys()
    assert timedelta(seconds=arithmetic.MICROSOFT_CHANNEL_LIFE) == LONGEST
    assert timedelta(seconds=arithmetic.RENEWED_BEFORE) == MARGIN
    assert arithmetic.RENEWED_LATER == SPREAD / 2
    assert timedelta(seconds=arithmetic.ORDERS_KEPT_SECONDS) == KEEP_ORDERS
    assert timedelta(days=arithmetic.WEBHOOKS_KEPT_DAYS) == KEEP_EVENTS
    assert quiet_period(365) == DAY / Load(1).replans
    defaults = Settings.model_fields
    assert Limits().google_minute == defaults["google_requests_per_minute"].default
    assert Limits().polls_share == SHARE_OF_POLLS
    assert Load(1).poll_seconds == defaults["poll_interval_seconds"].default
    assert Load(1).slowest_seconds == defaults["slowest_poll_seconds"].default
    postgresql = (PAGE.parent / "postgresql.md").read_text()
    assert f"opens {CONNECTIONS} connections" in postgresql


def test_the_command_takes_every_assumption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--pairs", "1800000", "--push", "1", "--changes", "0", "--google", "0.5", "--busy", "0.5"]
    monkeypatch.setattr(sys, "argv", ["arithmetic", *given])
    tables.main()
    told = capsys.readouterr().out
    assert re.search(r"requests to Google a minute: polls +60,000\n", told)
    for each in (*fields(Load), *fields(Limits)):
        if each.metadata:
            assert f"--{each.name.replace('_', '-')}`" in "\n".join(tables.page_tables()["assumed"])


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0"), (0.00432, "0.00432"), (1.5, "1.5"), (12.345, "12.3"), (999.6, "1,000"), (8_333.3, "8,330")],
)
def test_numbers_have_three_digits_that_count(value: float, told: str) -> None:
    assert tables.number(value) == told
