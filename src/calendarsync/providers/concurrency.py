"""Several requests at once, and long work that holds up nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

AT_ONCE_BYTES = 128 * 1024
"""So much of an answer is read within some 10 ms, for which others can wait."""


async def all_of(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Their results in order. The first error ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as errors:
        raise _first(errors) from None
    return [task.result() for task in tasks]


async def streamed(items: Iterable[T], work: Callable[[T], Awaitable[None]], *, at_once: int) -> None:
    """Do `work` on every item, `at_once` of them at a time; the rest waits its turn and takes no memory."""
    source = iter(items)

    async def worker() -> None:
        for item in source:
            await work(item)

    await all_of([worker() for _ in range(at_once)])


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def aside(size: int, work: Callable[[], T]) -> T:
    """Do `work` on `size` bytes: at once if they are few, else in a thread, so that others are served meanwhile."""
    return await asyncio.to_thread(work) if size > AT_ONCE_BYTES else work()
