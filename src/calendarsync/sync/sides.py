"""The two ends of a flow, as a round has opened and read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from calendarsync.domain.event import Content
from calendarsync.providers.base import Calendar
from calendarsync.store.schedule import ConnectionRecord
from calendarsync.sync.refresh import Contents

Texts = dict[str, Mapping[str, Content]]
"""Contents by resource."""


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a flow: the connection, its opened calendar, and the texts read of it in this round."""

    connection: ConnectionRecord
    calendar: Calendar
    contents: Contents

    def held(self, versions: Mapping[str, str | None]) -> Texts:
        """Contents of exactly these versions, as far as they are at hand."""
        held = {name: self.contents.of(name, version) for name, version in versions.items()}
        return {name: contents for name, contents in held.items() if contents is not None}

    async def texts(self, versions: Mapping[str, str | None]) -> Texts:
        """Contents of exactly these versions, as far as they are there; fetched where needed.

        Raises ProviderError.
        """
        texts = self.held(versions)
        missing = [name for name in versions if name not in texts]
        if missing:
            fetched = await self.calendar.fetch(missing)
            texts |= {each.id: each.contents for each in fetched if each.version == versions[each.id]}
        return texts
