"""The model of Google Calendar behaves as Google says that its service does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.testbed.google import DEFAULT_TOKEN
from tests.testbed.google import running as running_google

PROBE = Path(__file__).resolve().parents[3] / "shared" / "testbed" / "probe_google.py"


def test_the_probe_of_documented_behaviour_passes_whole() -> None:
    if not PROBE.exists():
        pytest.skip("../shared is not here")
    with running_google() as model:
        command = [sys.executable, str(PROBE), model.url, DEFAULT_TOKEN]
        probed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert probed.stdout.splitlines()[-1] == "47 of 47", probed.stdout
