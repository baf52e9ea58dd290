"""The suite for the real services runs: against what stands in for them, as a person would start it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testbed.google import Model as GoogleModel
from tests.testbed.microsoft import Model as MicrosoftModel

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).resolve().parents[2]


SOME = "empty_calendar or survives or replaces or unmark"
"""Tests that use every fixture: the models pass all of the contract elsewhere."""


def run_live(name: str, **environment: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "live", "-k", SOME, f"tests/live/test_{name}.py"]
    kept = {key: value for key, value in os.environ.items() if key != "CI"}
    done = subprocess.run(
        command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, timeout=800, check=False
    )
    return done.stdout


@pytest.mark.parametrize("name", ["google", "microsoft"])
def test_it_passes_against_a_model(
    name: str, google_model: GoogleModel, microsoft_model: MicrosoftModel
) -> None:
    google = google_model.account()
    google.restrict("https://www.googleapis.com/auth/calendar")
    url, token = {
        "google": (google_model.url, google.token),
        "microsoft": (microsoft_model.url, microsoft_model.account().token),
    }[name]
    prefix = f"CALENDARSYNC_LIVE_{name.upper()}"
    output = run_live(name, **{f"{prefix}_TOKEN": token, f"{prefix}_URL": url})
    passed = re.search(r"(\d+) passed", output)
    assert passed is not None, output[-3000:]
    assert int(passed[1]) >= 5
    assert "failed" not in output, output[-3000:]


def test_without_a_token_it_says_what_is_missing() -> None:
    environment = {"CALENDARSYNC_LIVE_GOOGLE_TOKEN": ""}
    assert "CALENDARSYNC_LIVE_GOOGLE_TOKEN is not set" in run_live("google", **environment)
