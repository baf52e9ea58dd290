"""Lists a page at a time, each page beginning after an item that the caller names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, RowMapping, Select, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

MOST = 1_000
"""Items of a page, and of a list that is asked for without a limit."""


class NoSuchItem(LookupError):  # noqa: N818 - it says what happened
    """There is no item of that id to begin after."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is asked for: `limit` items at most, from the one after the id `starting_after` on."""

    limit: int = MOST
    starting_after: str | None = None


EVERYTHING = Page()


@dataclass(frozen=True, slots=True)
class Slice:
    """What there is: the rows, and whether more come after them."""

    rows: Sequence[RowMapping]
    has_more: bool


async def read_page(
    connection: AsyncConnection,
    query: Select[Any],
    order: Sequence[Column[Any]],
    mine: ColumnElement[bool],
    page: Page,
    *,
    parameters: Mapping[str, Any],
    descending: bool = False,
) -> Slice:
    """The page of `query` in an `order` such as `(created_at, id)`, whose last column is the id.

    `mine` is the condition that an item is the caller's, such as `owned(table)`; the query has it already.
    Raises NoSuchItem.
    """
    if page.starting_after is not None:
        found = select(*order).where(mine, order[-1] == page.starting_after)
        last = (await connection.execute(found, parameters)).one_or_none()
        if last is None:
            raise NoSuchItem(page.starting_after)
        at = tuple_(*(literal(value, column.type) for value, column in zip(last, order, strict=True)))
        query = query.where(tuple_(*order) < at if descending else tuple_(*order) > at)
    query = query.order_by(*(column.desc() if descending else column for column in order))
    rows = (await connection.execute(query.limit(page.limit + 1), parameters)).mappings().all()
    return Slice(rows[: page.limit], len(rows) > page.limit)
