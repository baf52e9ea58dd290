"""Whether an event that was found by its id is in the calendar that was asked.

An immutable id stays when an event goes to another calendar of its mailbox (outlook-immutable-id), and no page says
that the calendar in a path has to be the event's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calendarsync.providers.base import Forbidden
from calendarsync.providers.microsoft.batching import Batcher, Request
from calendarsync.providers.microsoft.places import Places


class Membership:
    """Of one calendar. Another one counts only where the mailbox is seen to have it."""

    def __init__(self, batcher: Batcher, places: Places) -> None:
        self._batcher = batcher
        self._places = places
        self._others: dict[str, bool] = {}

    async def holds(self, event: Mapping[str, Any]) -> bool:
        """Raises what GraphSession.send raises."""
        name = self._places.elsewhere(event)
        if name is None:
            return True
        if name not in self._others:
            self._others[name] = await self._is_another(name)
        return not self._others[name]

    async def _is_another(self, name: str) -> bool:
        try:
            answer = await self._batcher.send(Request("GET", self._places.other(name)))
        except Forbidden:
            return False
        return answer.ok and answer.data.get("id") == name
