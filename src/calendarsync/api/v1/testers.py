"""What is there in test mode alone."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from calendarsync.accounts.keys import Identity, Mode
from calendarsync.api.errors import ApiError
from calendarsync.api.route import Caller


def refuse_live(caller: Identity) -> None:
    """Raises ApiError 403 for a live key."""
    if caller.mode is not Mode.TEST:
        raise ApiError(403, "the sandbox is there for test keys alone; use a key that begins with cs_test_")


# A dependency that is no coroutine would cost a trip to a thread.
async def _tester(caller: Caller) -> Identity:
    refuse_live(caller)
    return caller


Tester = Annotated[Identity, Depends(_tester)]
"""Whoever calls, with a test key."""
