"""What the rows of a round come to, where the model cannot show them so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from calendarsync.domain.event import Resource
from calendarsync.providers.base import Batch
from calendarsync.providers.microsoft.gathering import EventReader, Gatherer
from calendarsync.providers.microsoft.reading import resource_of
from calendarsync.providers.microsoft.stored import Stored
from tests.providers.microsoft.helpers import timed


class _Reader:
    """A mailbox without any series and marks."""

    async def series(self, event_id: str) -> Stored | None:
        return None

    async def identity(self, event_id: str) -> dict[str, Any]:
        return {}

    async def marked_ids(self) -> frozenset[str]:
        return frozenset()

    async def resources(self, pairs: Sequence[tuple[Stored, str | None]]) -> list[Resource]:
        return [resource_of(*pair, frozenset()) for pair in pairs]


def row(event_id: str = "a", key: str = "1", **fields: Any) -> dict[str, Any]:
    return {"id": event_id, "changeKey": key, "type": "singleInstance", **timed(), **fields}


def gone(event_id: str = "a") -> dict[str, Any]:
    return {"id": event_id, "@removed": {"reason": "deleted"}}


async def gathered(
    *pages: list[dict[str, Any]], known: dict[str, str] | None = None
) -> tuple[Gatherer, list[str]]:
    """The round when it is over, and what was handed over: ids with versions."""
    handed: list[str] = []

    async def on_batch(batch: Batch) -> None:
        handed.extend(f"{each.id}{each.version}" for each in batch.changed)

    async def index() -> dict[str, str | None]:
        return dict(known or {})

    gatherer = Gatherer(cast("EventReader", _Reader()), index, on_batch, whole=True)
    for page in pages:
        await gatherer.page(page)
    await gatherer.finish()
    return gatherer, handed


async def test_of_an_event_that_comes_twice_the_last_row_counts() -> None:
    gatherer, handed = await gathered([row(key="1"), row("b"), row(key="2")])
    assert sorted(handed) == ["a2", "b1"]
    assert gatherer.present == {"a", "b"}
    _, handed = await gathered([row(key="1")], [row(key="1")], [row(key="2")])
    assert handed == ["a1", "a2"]


async def test_an_event_that_goes_within_a_round() -> None:
    gatherer, handed = await gathered([row(), gone()])
    assert (gatherer.present, gatherer.doubted, handed) == (set(), {"a"}, [])
    gatherer, _ = await gathered([row()], [gone()])
    assert (gatherer.present, gatherer.doubted) == (set(), {"a"})


async def test_an_event_that_comes_back_within_a_round() -> None:
    gatherer, handed = await gathered([gone(), row()])
    assert (gatherer.present, gatherer.doubted, handed) == ({"a"}, set(), ["a1"])


async def test_rows_of_a_series_that_has_been_deleted_meanwhile() -> None:
    """It is in doubt; its instances are no events of their own."""
    rows = [
        row("x", type="occurrence", seriesMasterId="a"),
        row("y", type="exception", seriesMasterId="a", originalStart="2026-03-02T08:00:00Z"),
    ]
    gatherer, handed = await gathered(rows, known={"a": "series.1"})
    assert (gatherer.present, gatherer.doubted, handed) == (set(), {"a"}, [])


async def test_invitations_to_single_instances_of_somebodys_series() -> None:
    rows = [
        row("x", type="exception", seriesMasterId="a", originalStart="2026-03-02T08:00:00Z"),
        row("y", type="exception", seriesMasterId="a", originalStart="2026-03-09T08:00:00Z"),
        row("z", type="occurrence", seriesMasterId="a"),
        row("x", key="2", type="exception", seriesMasterId="a", originalStart="2026-03-02T08:00:00Z"),
    ]
    gatherer, handed = await gathered(rows)
    assert gatherer.present == {"x", "y"}
    assert sorted(handed) == ["x2", "y1"]


async def test_what_is_known_is_not_handed_over() -> None:
    gatherer, handed = await gathered([row(), row("b", key="2")], known={"a": "1", "b": "1"})
    assert gatherer.present == {"a", "b"}
    assert handed == ["b2"]
