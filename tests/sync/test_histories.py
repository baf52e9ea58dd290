"""Any history comes to rest, and what copies show then is right: rules 1 to 5, 12 to 18, 20 to 24 and 26."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.sync.machine.convergence import Convergence
from tests.testbed.inline_sqlite import inline_sqlite
from tests.testbed.installation import Installation, installation

SECRET = b"a secret that makes the same ids in every history"


@pytest.fixture
def stage(quick_folder: Path) -> Iterator[tuple[Installation, asyncio.Runner]]:
    """An installation for all histories of a test, and the loop that they are played in."""

    async def at_once(function: object, *args: object) -> object:
        return function(*args)  # type: ignore[operator]

    with inline_sqlite(), patch("asyncio.to_thread", at_once), asyncio.Runner() as runner:
        opened = installation(quick_folder, secret=SECRET)
        yield runner.run(opened.__aenter__()), runner
        runner.run(opened.__aexit__(None, None, None))


def _play(stage: tuple[Installation, asyncio.Runner], histories: int, steps: int, *, chance: bool) -> None:
    run_state_machine_as_test(
        lambda: Convergence(*stage),
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            derandomize=not chance,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(1800)
def test_any_history_comes_to_rest(stage: tuple[Installation, asyncio.Runner]) -> None:
    """The same histories in each run. One that fails takes minutes to be made short, and is printed."""
    _play(stage, 300, 10, chance=False)


@pytest.mark.long
@pytest.mark.timeout(6 * 3600)
def test_ten_thousand_histories_come_to_rest(stage: tuple[Installation, asyncio.Runner]) -> None:
    """Others in each run; a failing one is printed with what plays it again."""
    _play(stage, 10_000, 25, chance=True)
