"""How many requests one grant may have under way in this process, whichever of its calendars they are for."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary


class Limiter:
    """Hands out one semaphore for each grant and event loop; it is forgotten when nobody holds or awaits it."""

    def __init__(self) -> None:
        self._slots: WeakValueDictionary[tuple[str, int], asyncio.Semaphore] = WeakValueDictionary()

    def slots(self, grant: str, at_once: int) -> asyncio.Semaphore:
        """What a request of this grant holds while it is under way. `at_once` counts at the first of them."""
        key = grant, id(asyncio.get_running_loop())
        found = self._slots.get(key)
        if found is None:
            found = self._slots[key] = asyncio.Semaphore(at_once)
        return found


OF_THIS_PROCESS = Limiter()
"""Shared by all calendars, since a provider counts by grant and not by calendar."""
