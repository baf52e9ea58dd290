"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.testbed.fixtures import (
    cyrus,
    database_url,
    empty_installation,
    google_model,
    google_server,
    microsoft_model,
    microsoft_server,
    own_postgresql,
    postgresql_database,
    postgresql_server,
    quick_folder,
    radicale,
    xandikos,
)
from tests.testbed.postgresql import GIVEN

__all__ = [
    "cyrus",
    "database_url",
    "empty_installation",
    "google_model",
    "google_server",
    "microsoft_model",
    "microsoft_server",
    "own_postgresql",
    "postgresql_database",
    "postgresql_server",
    "quick_folder",
    "radicale",
    "xandikos",
]

SHARED = Path(__file__).resolve().parents[2] / "shared"


LONGEST = ("tests/faults/", "tests/webhooks/test_storm.py", "tests/sync/test_clock_changes.py")
"""They come first: at the end, one process would be at work on one of them while the others have nothing to do."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and thousands of tests stay until the end: looked through for garbage again and again, they would
    cost a sixth of the time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses a PostgreSQL is run by `make test-postgres` as well; a given one is not ours to stop."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    for item in items:
        if "postgresql_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.postgresql)
    if os.environ.get(GIVEN):
        items[:] = [item for item in items if "own_postgresql" not in getattr(item, "fixturenames", ())]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI everything is there that a test may need: what is skipped counts as failed.

    One exemption: tests on the corpora in `../shared`, beside the clone, where that folder is absent.
    """
    if not os.environ.get("CI") or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if "../shared" in reason and not SHARED.exists():
        return
    report.outcome = "failed"
    report.longrepr = f"in CI nothing is skipped: {reason}"


pytest.register_assert_rewrite("tests.providers.contract")  # its failures then show their values


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes may differ from one process to the next, such as gzip's, which hold the time; ids may not."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None
