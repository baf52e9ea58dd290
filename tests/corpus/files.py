"""The corpus: real iCalendar files, which lie beside the clone and are no part of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "corpus"
CORPUS = Path(os.environ.get("CALENDARSYNC_CORPUS", BESIDE))

FIRST = datetime(1995, 1, 1, tzinfo=UTC)
LAST = datetime(2028, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
WIDE_OPEN = {"past_days": 36_500, "future_days": 3_650}


def corpus_files() -> list[Path]:
    if not CORPUS.is_dir():
        pytest.skip("no corpus of calendars in ../shared/corpus, nor where CALENDARSYNC_CORPUS says")
    files = sorted(CORPUS.rglob("*.ics"))
    assert len(files) > 300
    return files
