"""How far it is: a bar on a terminal, and a few lines where there is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from calendarsync.client import RateLimit

_WORKING = "Onboarding"


class Bar:
    """On standard error, so that standard output has the result alone. `allowance` is asked when it begins."""

    def __init__(self, allowance: Callable[[], RateLimit | None]) -> None:
        self._allowance = allowance
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("Looking at what is there", total=None, failed="")
        self._failed = 0
        self._waiting = False

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, rows: int, done: int, requests: int) -> None:
        self._progress.update(self._task, description=_WORKING, total=rows, completed=done)
        if done:
            self._console.print(f"{done:,} of {rows:,} rows are done already.")
        limit = self._allowance()
        if limit is not None and requests > limit.remaining:
            self._console.print(
                f"This takes about {requests:,} requests; the account has {limit.remaining:,} left until "
                f"{_clock(limit.resets_at)}, and {limit.limit:,} an hour. It waits, and goes on by itself."
            )

    def advance(self, *, failed: bool) -> None:
        self._failed += failed
        told = f"[red]{self._failed:,} failed[/]" if self._failed else ""
        self._progress.update(self._task, advance=1, failed=told)

    def wait(self, until: datetime | None) -> None:
        if until is None:
            self._progress.update(self._task, description=_WORKING)
        elif not self._waiting:
            self._progress.update(self._task, description=f"Rate limit: goes on at {_clock(until)}")
            if not self._console.is_terminal:
                self._console.print(f"The rate limit is spent; it goes on at {_clock(until)}.")
        self._waiting = until is not None


def _clock(moment: datetime) -> str:
    """In the zone of whoever looks at it."""
    return f"{moment.astimezone():%H:%M:%S}"
