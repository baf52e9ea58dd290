"""`calendarsync worker`, but for its calendars, which are in memory: python -m benchmarks.scale.process"""

from __future__ import annotations

from unittest.mock import patch

from benchmarks.scale.calendar import open_calendar
from calendarsync.cli.worker import worker
from calendarsync.jobs import wiring

if __name__ == "__main__":
    with patch.object(wiring, "open_calendar", open_calendar):
        worker()
