"""The rule of continuous integration that nothing is skipped (tests/conftest.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = {
    "test_mark.py": "@pytest.mark.skip(reason='no time')\ndef test_it(): ...",
    "test_call.py": "def test_it():\n    pytest.skip('no time')",
    "test_module.py": "pytest.skip('no time', allow_module_level=True)",
    "test_expected.py": "@pytest.mark.xfail\ndef test_it():\n    assert False",
}


@pytest.mark.parametrize(("ci", "fails"), [("true", True), ("", False)])
def test_in_ci_a_skipped_test_fails_the_run(tmp_path: Path, ci: str, fails: bool) -> None:
    for name, source in SAMPLES.items():
        (tmp_path / name).write_text(f"import pytest\n\n{source}\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    # Without plugins from outside a run takes a fraction of the time.
    environment = os.environ | {"CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--continue-on-collection-errors"]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
    )
    assert (done.returncode != 0) is fails, done.stdout
    assert done.stdout.count("in CI nothing is skipped: Skipped: no time") >= 3 * fails
    assert ("3 skipped" in done.stdout) is not fails
    assert "1 xfailed" in done.stdout
