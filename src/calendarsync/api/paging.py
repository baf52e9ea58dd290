"""Lists other than logs: whole up to 1,000 items; `limit` and `starting_after` page through more.

A route takes `page: PageParam`, hands it to a store function that ends in `read_page`, inside `known_start()`, and
answers with a model that extends `Paged`:

    async with services.db.read_as(caller.tenant) as connection, known_start():
        found = await store.list_things(connection, caller.tenant, page)
    return ThingList(things=[thing_out(row) for row in found.rows], has_more=found.has_more)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from calendarsync.api.errors import invalid
from calendarsync.api.v1.fields import Text
from calendarsync.store.paging import MOST, NoSuchItem, Page


class Paged(BaseModel):
    has_more: bool = Field(
        description="Whether there are more: ask again with `starting_after`, the id of the last one."
    )


# A dependency that is no coroutine would cost a trip to a thread.
async def _page(
    limit: Annotated[int, Query(ge=1, le=MOST, description="Items at most.")] = MOST,
    starting_after: Annotated[
        Text | None, Query(max_length=100, description="The id of the item before the first that is wanted.")
    ] = None,
) -> Page:
    return Page(limit, starting_after)


PageParam = Annotated[Page, Depends(_page)]


@asynccontextmanager
async def known_start() -> AsyncIterator[None]:
    """Around the reading of a page. Raises ApiError 422 where `starting_after` names nothing of the caller's."""
    try:
        yield
    except NoSuchItem:
        raise invalid(("starting_after", "there is no such item")) from None
