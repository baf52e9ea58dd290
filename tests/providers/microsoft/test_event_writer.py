"""Writing to a Graph that does otherwise than the model: no page says what it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from calendarsync.domain.copy import Copy
from calendarsync.domain.event import EventTime, Recurrence
from calendarsync.providers.base import Refused
from calendarsync.providers.microsoft.batching import Batcher, Request
from calendarsync.providers.microsoft.event_writer import EventWriter
from calendarsync.providers.microsoft.failures import Answer
from calendarsync.providers.microsoft.membership import Membership
from calendarsync.providers.microsoft.places import Places
from calendarsync.providers.microsoft.writing import event_of
from tests.providers.contract import MARK, component, id_of
from tests.providers.microsoft.helpers import BERLIN

HOLE = EventTime(datetime(2026, 3, 16, 9), "Europe/Berlin")


def series(*, hour: int = 9, holes: tuple[EventTime, ...] = ()) -> Copy:
    recurrence = Recurrence(("FREQ=WEEKLY;COUNT=5",), exdates=holes)
    return Copy(id_of("series"), MARK, component("Weekly", hour=hour, recurrence=recurrence))


class _Stubborn:
    """A mailbox with one series, which keeps for ever what was taken out of it."""

    def __init__(self, *, keeps: bool) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._keeps = keeps
        self._fields: dict[str, Any] = {"id": "e", "type": "seriesMaster", "changeKey": "1"}
        self._fields |= {"originalStartTimeZone": BERLIN, "originalEndTimeZone": BERLIN}
        self._fields |= event_of(series(), series().master)
        self._cancelled = ["OID.e.2026-03-16"]

    async def send(self, request: Request) -> Answer:
        if request.method == "PATCH":
            assert request.body is not None
            self.bodies.append(dict(request.body))
            self._fields |= request.body
            if "recurrence" in request.body and not self._keeps:
                self._cancelled = []
        return Answer(200, {}, {**self._fields, "cancelledOccurrences": self._cancelled})

    async def in_order(self, requests: Sequence[Request]) -> list[Answer]:
        return [await self.send(request) for request in requests]


def writer_to(mailbox: _Stubborn) -> EventWriter:
    batcher, places = cast("Batcher", mailbox), Places("AAMkWork=")
    return EventWriter(batcher, places, Membership(batcher, places))


async def test_an_instance_is_given_back_by_another_rule_for_a_moment() -> None:
    mailbox = _Stubborn(keeps=False)
    await writer_to(mailbox).update("e", None, series())
    ends = [
        body["recurrence"]["range"]["numberOfOccurrences"] for body in mailbox.bodies if "recurrence" in body
    ]
    assert ends == [1, 5]
    assert "singleValueExtendedProperties" in mailbox.bodies[-1]


async def test_where_new_times_leave_holes_they_are_filled_as_well() -> None:
    """That Graph drops holes together with exceptions is assumed."""
    mailbox = _Stubborn(keeps=False)
    await writer_to(mailbox).update("e", None, series(hour=11))
    times = [body["start"]["dateTime"][11:13] for body in mailbox.bodies if "start" in body]
    assert times == ["11", "11"]


async def test_a_graph_that_gives_nothing_back_is_not_asked_for_ever() -> None:
    mailbox = _Stubborn(keeps=True)
    with pytest.raises(Refused, match="put back"):
        await writer_to(mailbox).update("e", None, replace(series(), draft=MARK))
    assert len(mailbox.bodies) == 6


async def test_a_hole_that_is_there_is_not_made_again() -> None:
    mailbox = _Stubborn(keeps=True)
    await writer_to(mailbox).update("e", None, series(holes=(HOLE,)))
    assert [sorted(body) for body in mailbox.bodies] == [["singleValueExtendedProperties"]]
