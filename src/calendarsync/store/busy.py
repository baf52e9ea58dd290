"""Which calendars are in use, of those that a claim looks at: what it reads does not grow with what is at work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import ARRAY, ColumnElement, and_, any_, bindparam, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.dialects import takes_arrays
from calendarsync.store.tables import pairs

_ENDS = ("calendar_a", "calendar_b")
_at_work = pairs.alias("at_work")


def _rests(calendar: ColumnElement[str]) -> Iterable[ColumnElement[bool]]:
    """The next calendar that is in use is another one.

    It is asked for as a jump in the index: whatever PostgreSQL believes of how many are at work, no other index has
    that order.
    """
    for end in _ENDS:
        of_it = _at_work.c[end]
        found = select(of_it).where(_at_work.c.leased_until.is_not(None), of_it >= calendar)
        following = found.order_by(of_it).limit(1).correlate(pairs).scalar_subquery()
        yield following.is_distinct_from(calendar)


_known: Any = bindparam("busy", expanding=True)
_undisturbed = and_(
    *(pairs.c[end].not_in(_known) for end in _ENDS), *(each for end in _ENDS for each in _rests(pairs.c[end]))
)


is_kept = and_(pairs.c.given, pairs.c.worker.is_(None))
"""Of a pair with a lease: no process has it, a turn is kept for it (store/reserving.py)."""


def _in_use(among: Callable[[ColumnElement[str]], ColumnElement[bool]], *where: ColumnElement[bool]) -> Any:
    # In the order of the calendars, for the same reason.
    ends = [
        select(pairs.c[end].label("calendar"))
        .where(pairs.c.leased_until.is_not(None), among(pairs.c[end]), *where)
        .order_by(pairs.c[end])
        for end in _ENDS
    ]
    return union_all(*(select(end.subquery()) for end in ends))


_IN_USE = _in_use(lambda end: end.in_(bindparam("calendars", expanding=True)))
_IN_USE_OF_ARRAY = _in_use(
    lambda end: end == any_(bindparam("calendars", type_=ARRAY(pairs.c.calendar_a.type)))
)


_IN_A_RUN = _in_use(lambda end: end.in_(bindparam("calendars", expanding=True)), ~is_kept)


async def in_use(db: AsyncConnection, calendar_keys: Collection[str], *, kept: bool = True) -> set[str]:
    """Those of the calendars, whichever account's, of which a pair is at work.

    Without `kept` those are not in use for which only a turn is kept (store/reserving.py).
    """
    of_all = _IN_USE_OF_ARRAY if takes_arrays(db) else _IN_USE
    statement = of_all if kept else _IN_A_RUN
    return set((await db.execute(statement, {"calendars": sorted(calendar_keys)})).scalars())


@dataclass(frozen=True, slots=True)
class Look:
    """Two statements that answer with rows of pairs, or of orders of pairs, with their calendars.

    `quick` has those with calendars in use among them, `sure` has not, whose `busy` are calendars known to be so:
    what is on them costs nothing to be passed by, and anything else four steps.
    """

    quick: Any
    sure: Any

    @classmethod
    def made(cls, make: Callable[[ColumnElement[bool]], Any]) -> Look:
        return cls(make(true()), make(_undisturbed))


class OnCalendars(Protocol):
    @property
    def calendar_a(self) -> str: ...
    @property
    def calendar_b(self) -> str: ...


Queue = TypeVar("Queue")


class Busy:
    """What a transaction that makes claims alone knows of calendars: what is at rest stays so until it ends.

    `at_rest`: calendars of which that is known already.
    """

    def __init__(self, db: AsyncConnection, at_rest: Iterable[str] = ()) -> None:
        self._db = db
        self._asked = set(at_rest)
        self._busy: set[str] = set()
        self._waiting: list[Any] = []

    async def first(
        self,
        look: Look,
        queues: Sequence[Queue],
        most: int,
        rows_of: Callable[[Any, Sequence[Queue], dict[str, Any]], Awaitable[Iterable[tuple[Queue, Any]]]],
    ) -> list[Any]:
        """Of each queue so many rows, the first ones of which both calendars are at rest.

        `rows_of` executes a statement for some queues, with what is given beside, and answers with so many of each.
        Hardly ever is anything in use that is looked at first. Where so much is that others may stand behind it,
        these are looked for.
        """
        rows = _by_queue(await rows_of(look.quick, queues, {}))
        await self._ask([row for those in rows.values() for row in those])
        found = {queue: [row for row in those if self._rests(row)] for queue, those in rows.items()}
        self._waiting += [row for those in rows.values() for row in those if not self._rests(row)]
        short = [queue for queue, those in rows.items() if len(found[queue]) < len(those) == most]
        if short:
            found |= _by_queue(await rows_of(look.sure, short, {"busy": sorted(self._busy)}))
        return [row for those in found.values() for row in those]

    def shut_out(self, calendars: Collection[str]) -> list[Any]:
        """What was looked at and has one of its calendars in use, when all of these are so, both."""
        in_use = self._busy.union(calendars)
        return [row for row in self._waiting if in_use >= calendars_of([row])]

    def _rests(self, row: OnCalendars) -> bool:
        return self._busy.isdisjoint(calendars_of([row]))

    async def _ask(self, rows: Iterable[OnCalendars]) -> None:
        unknown = calendars_of(rows) - self._asked
        if unknown:
            self._busy |= await in_use(self._db, unknown)
            self._asked |= unknown


def calendars_of(rows: Iterable[OnCalendars]) -> set[str]:
    return {each for row in rows for each in (row.calendar_a, row.calendar_b)}


def _by_queue(rows: Iterable[tuple[Queue, Any]]) -> dict[Queue, list[Any]]:
    found: dict[Queue, list[Any]] = defaultdict(list)
    for queue, row in rows:
        found[queue].append(row)
    return found
