"""Both flows of one pair in one run: their calendars read, what planning looks at, and what was planned applied."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from calendarsync.domain.link import Direction
from calendarsync.providers.opening import BY_ACCOUNTS_CLOCK
from calendarsync.store.schedule import PairRecord, ahead_of
from calendarsync.sync.actions import FlowInput, FlowPlan
from calendarsync.sync.apply import Applier
from calendarsync.sync.ending import Ending
from calendarsync.sync.hold import Hold
from calendarsync.sync.inputs import Tools, load_flows
from calendarsync.sync.outcome import Outcome
from calendarsync.sync.round import ConnectionFailed, Reader, Round
from calendarsync.sync.sides import Side
from calendarsync.sync.unjudged import unjudged

MAX_ATTEMPTS = 4
"""How often one run reads and plans again because something changed under its hands."""

Sides = tuple[Side, Side]
"""The calendars a and b of a pair."""


@dataclass(slots=True)
class Flows:
    """What a run does with its pair's two calendars. Each method may raise ConnectionFailed and ClaimLost."""

    reader: Reader
    tools: Tools
    pair: PairRecord
    hold: Hold
    round_: Round
    ending: Ending

    async def read(self, *, again: bool, full: bool = False) -> Sides:
        """Both calendars as they stand: read once in a round, unless `again` or `full`."""
        admitted = await self.round_.admit(self.pair.connection_a_id, self.pair.connection_b_id)
        a, b = await asyncio.gather(
            *(self.round_.read(connection, self.hold, again=again, full=full) for connection in admitted),
            return_exceptions=True,
        )
        if isinstance(a, BaseException):
            raise a
        if isinstance(b, BaseException):
            raise b
        return a, b

    async def read_texts(self, flows: Sequence[FlowInput], sides: Sides) -> Sides:
        """Read what a text filter has not been told of yet, before anything is planned by it (rule 8)."""
        for flow in flows:
            if not flow.scene.rules.text_filters:
                continue
            missing = await asyncio.to_thread(unjudged, flow)
            if missing:
                read = await self.round_.read_texts(source_of(flow, sides), missing, self.hold)
                sides = (read, sides[1]) if flow.direction is Direction.A_TO_B else (sides[0], read)
        return sides

    async def load(
        self, sides: Sides, *, adopt_foreign: bool = False, beside: Collection[Direction] = ()
    ) -> list[FlowInput]:
        """The flows as the database shows them now."""
        records = (sides[0].connection, sides[1].connection)
        async with self.reader.db.read() as db:
            self.ending.ahead = await ahead_of(db, self.pair)
            now = self.reader.now() + self.ending.ahead
            return await load_flows(
                db, self.pair, records, self.tools, now=now, adopt_foreign=adopt_foreign, beside=beside
            )

    def is_idle(self, flows: Sequence[FlowInput], plans: Sequence[FlowPlan]) -> bool:
        """Whether there is nothing to be done, and nothing to be noted of the links."""
        rules_version = self.tools.rules_version(self.pair)
        return not any(
            plan.writes
            or plan.keeps
            or plan.forgets
            or plan.again
            or flow.failures
            or any(link.rules_version != rules_version for link in flow.links)
            for flow, plan in zip(flows, plans, strict=True)
        )

    async def apply(
        self, flows: Sequence[FlowInput], plans: Sequence[FlowPlan], sides: Sides
    ) -> list[Outcome]:
        """Write what was planned. Each flow comes to its end, whatever happens to the other."""
        appliers = [
            Applier(
                self.tools.fingerprinter,
                self.hold,
                flow,
                source=source_of(flow, sides),
                target=target_of(flow, sides),
                mark_keys=self.tools.mark_keys,
                now=self._clock_of(source_of(flow, sides)),
            )
            for flow in flows
        ]
        applying = (applier.apply(plan) for applier, plan in zip(appliers, plans, strict=True))
        outcomes: list[Outcome] = []
        # The locks are given back after that.
        for outcome in await asyncio.gather(*applying, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            outcomes.append(outcome)
        self.ending.add_outcomes(flows, outcomes)
        return outcomes

    def _clock_of(self, side: Side) -> Callable[[], datetime]:
        """By which the side's calendar stamps its events."""
        of_account = self.ending.ahead if side.connection.provider in BY_ACCOUNTS_CLOCK else timedelta()
        return lambda: self.reader.now() + of_account

    async def raise_for(self, outcomes: Sequence[Outcome]) -> None:
        """Note and raise what a provider as a whole answered, if anything."""
        for outcome in outcomes:
            if outcome.error is not None and outcome.blamed is not None:
                failed = ConnectionFailed(outcome.blamed, outcome.error)
                await self.reader.note_error(failed, self.hold)
                raise failed


def source_of(flow: FlowInput, sides: Sides) -> Side:
    return sides[0] if flow.direction is Direction.A_TO_B else sides[1]


def target_of(flow: FlowInput, sides: Sides) -> Side:
    return sides[1] if flow.direction is Direction.A_TO_B else sides[0]
