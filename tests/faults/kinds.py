"""The kinds of faults. Each begins at once; what ends it may come later, while other faults go on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from tests.faults.crew import Member
from tests.faults.stage import Stage

Fault = Callable[[Stage], Awaitable[None]]

LEASE_SECONDS = 15.0
_HOUR = 3600


async def killed(stage: Stage) -> None:
    """SIGKILL; another one starts a while after."""
    victim = await stage.victim()
    victim.kill()
    await stage.witness.note_killed(victim.name)
    stage.later(_replace(stage, stage.chance.uniform(0, 4)))


async def frozen(stage: Stage) -> None:
    """SIGSTOP for longer than a lease, then SIGCONT."""
    victim = await stage.victim()
    victim.freeze()
    stage.later(_thaw(stage, victim, LEASE_SECONDS + stage.chance.uniform(1, 5)))


async def restarted(stage: Stage) -> None:
    """PostgreSQL ends at once, as in a crash, and comes back."""
    own = stage.server.own
    assert own is not None
    await asyncio.to_thread(own.stop)
    await asyncio.sleep(stage.chance.uniform(0, 2))
    await asyncio.to_thread(own.start)


async def cut(stage: Stage) -> None:
    """Some of the workers' connections to PostgreSQL are ended."""
    share = stage.chance.choice((0.2, 0.6, 1.0))
    backends = await stage.witness.backends()
    await stage.witness.cut([pid for pid in backends if stage.chance.random() < share])


async def an_hour_off(stage: Stage) -> None:
    """A worker is killed, and the next one has a clock that is an hour wrong."""
    victim = await stage.victim()
    victim.kill()
    await stage.witness.note_killed(victim.name)
    stage.later(_replace(stage, 0, stage.chance.choice((_HOUR, -_HOUR))))


async def drained(stage: Stage) -> None:
    """SIGTERM; another one starts."""
    victim = await stage.victim()
    stage.later(_drain(stage, victim))


KINDS: Sequence[Fault] = (killed, frozen, restarted, cut, an_hour_off, drained)


def plan(count: int, chance: random.Random) -> list[Fault]:
    """So many faults, each kind at least once where there is room, the kinds evenly."""
    faults = [KINDS[number % len(KINDS)] for number in range(count)]
    chance.shuffle(faults)
    return faults


async def _replace(stage: Stage, seconds: float, wrong_by: int = 0) -> None:
    await asyncio.sleep(seconds)
    settings = {}
    if wrong_by:
        assert stage.wrong_clock is not None
        settings = {"LD_PRELOAD": str(stage.wrong_clock), "WRONG_CLOCK_SECONDS": str(wrong_by)}
    await stage.hire(**settings)


async def _thaw(stage: Stage, victim: Member, seconds: float) -> None:
    await asyncio.sleep(seconds)
    victim.thaw()
    victim.disturbed = False
    stage.note(f"{victim.name} goes on")


async def _drain(stage: Stage, victim: Member) -> None:
    await victim.drain()
    await stage.hire()
