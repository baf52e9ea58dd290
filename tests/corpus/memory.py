"""How much memory a piece of work takes at its peak, in this process."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"


@dataclass
class Peak:
    megabytes: float = 0.0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """The growth over what the process held before.

    Linux can forget an earlier peak; elsewhere work counts only as far as it goes past all before it.
    """
    if _RESET.exists():
        _RESET.write_text(_FORGET_PEAK)
    before = _peak()
    found = Peak()
    yield found
    found.megabytes = _peak() - before


def _peak() -> float:
    if _STATUS.exists() and (match := re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())):
        return int(match[1]) / 1024
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
