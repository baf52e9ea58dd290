"""Ending the claims of many pairs: in one statement where the database takes arrays, else one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from calendarsync.store.claims import LET_GO, Claim, still_held, unless_changed
from calendarsync.store.dialects import takes_arrays
from calendarsync.store.tables import pairs

Of = Callable[[str], ColumnElement[Any]]
"""What is given of a pair's end, by its name."""

_CLAIM: Mapping[str, Column[Any]] = {
    "id": pairs.c.id,
    "generation": pairs.c.generation,
    "was_due_at": pairs.c.due_at,
    "next_due_at": pairs.c.due_at,
}


class Ending:
    """A way in which claims end. Who changed meanwhile when a pair is due has the last word about that.

    `values`: what becomes of its row beside that. `given`: what is given for it, and the column that it is for.
    """

    def __init__(self, values: Callable[[Of], Mapping[str, Any]], **given: Column[Any]) -> None:
        self._names = (*_CLAIM, *given)
        types = {name: column.type for name, column in {**_CLAIM, **given}.items()}
        one = {name: bindparam(f"of_{name}", type_=type_) for name, type_ in types.items()}
        these = (
            func.unnest(*(bindparam(f"of_{name}", type_=ARRAY(type_)) for name, type_ in types.items()))
            .table_valued(*types, name="these")
            .render_derived()
        )
        # Locked in one order, so that two transactions never wait for each other.
        locked = (
            select(these)
            .join(pairs, _counts(these.c.__getitem__))
            .order_by(pairs.c.id)
            .with_for_update(of=pairs)
            .cte("locked")
        )
        self._one = _let_go(_counts(one.__getitem__), one.__getitem__, values)
        self._all = _let_go(pairs.c.id == locked.c.id, locked.c.__getitem__, values)

    async def end(
        self, db: AsyncConnection, ends: Sequence[tuple[Claim, datetime, Mapping[str, Any]]], **shared: Any
    ) -> set[str]:
        """End each claim, with when its pair is due then and what else is given for it; the pairs that were let go.

        Those whose claims count no longer stay as they are.
        """
        rows = [
            {
                "id": claim.pair_id,
                "generation": claim.generation,
                "was_due_at": claim.due_at,
                "next_due_at": next_due_at,
                **more,
            }
            for claim, next_due_at, more in ends
        ]
        if takes_arrays(db):
            arrays = {f"of_{name}": [row.get(name) for row in rows] for name in self._names}
            return set((await db.execute(self._all, arrays | shared)).scalars())
        ended = set[str]()
        for row in rows:
            given = {f"of_{name}": row.get(name) for name in self._names}
            ended.update((await db.execute(self._one, given | shared)).scalars())
        return ended


def _counts(of: Of) -> ColumnElement[bool]:
    return and_(pairs.c.id == of("id"), pairs.c.generation == of("generation"), still_held)


def _let_go(which: ColumnElement[bool], of: Of, values: Callable[[Of], Mapping[str, Any]]) -> Any:
    due_at = unless_changed(of("was_due_at"), of("next_due_at"))
    ended = update(pairs).where(which).values({**LET_GO, "due_at": due_at, **values(of)})
    return ended.returning(pairs.c.id)
