"""Watching the statements that the store executes: which function of it did so, and where."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import greenlet
from sqlalchemy import event
from sqlalchemy.engine import Engine

from calendarsync import store
from tests.store.binding import AT_LARGE, CALLER, ENGINE, unbound

_STORE = Path(store.__path__[0])


@dataclass(frozen=True)
class Seen:
    """`place` is (module, line), `functions` those of the store that led there, the innermost first."""

    statement: Any
    parameters: Mapping[str, Any]
    place: tuple[str, int]
    functions: tuple[str, ...]

    @property
    def module(self) -> str:
        return self.place[0]

    def all_parameters(self) -> dict[str, Any]:
        """Those that stand in the statement as well."""
        return {**self.statement.compile(column_keys=list(self.parameters)).params, **self.parameters}


@contextmanager
def watching() -> Iterator[list[Seen]]:
    """What the store executes meanwhile, through any engine of this process."""
    seen: list[Seen] = []

    def note(_connection: object, statement: Any, many: Any, one: Any, _options: object) -> None:
        frames = list(_frames_of_store())
        if frames:
            functions = tuple(f"{_module(frame)}.{frame.f_code.co_name}" for frame in frames)
            place = _module(frames[0]), frames[0].f_lineno
            seen.append(Seen(statement, many[0] if many else one, place, functions))

    event.listen(Engine, "before_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_execute", note)


def unexcused(seen: Seen) -> list[str]:
    """What a statement names without a binding, and without a reason."""
    if seen.module not in CALLER | ENGINE:
        return []
    excused = {table for function, table in AT_LARGE if function in seen.functions}
    found = unbound(seen.statement, seen.parameters, caller=seen.module in CALLER)
    return [f"{' < '.join(seen.functions)}, line {seen.place[1]}: {each}" for each in sorted(found - excused)]


def _frames_of_store() -> Iterator[FrameType]:
    # SQLAlchemy runs its code in a greenlet below the one of the event loop.
    here: greenlet.greenlet | None = greenlet.getcurrent()
    frame: FrameType | None = sys._getframe()
    while here is not None:
        while frame is not None:
            if _is_of_store(frame.f_code.co_filename):
                yield frame
            frame = frame.f_back
        here = here.parent
        frame = here.gr_frame if here is not None else None


@cache
def _is_of_store(file: str) -> bool:
    return Path(file).parent == _STORE


def _module(frame: FrameType) -> str:
    return Path(frame.f_code.co_filename).stem
