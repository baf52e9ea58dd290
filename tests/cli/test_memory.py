"""What a process has loaded is no work for the garbage collector."""

from __future__ import annotations

import gc

from calendarsync.cli.common import keep_what_is_there


def test_what_is_there_is_looked_through_no_more() -> None:
    try:
        keep_what_is_there()
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()
