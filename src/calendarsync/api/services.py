"""What the routes work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, Request

from calendarsync.net import HttpClient
from calendarsync.secrets import Keyring
from calendarsync.settings import Settings
from calendarsync.store.database import Database
from calendarsync.sync.report import Ticket


class Runner(Protocol):
    """Runs pairs, each at most once at a time."""

    def trigger(
        self,
        pair_id: str,
        *,
        trigger: str = "api",
        full: bool = False,
        confirm: bool = False,
        dry_run: bool = False,
    ) -> Ticket:
        """Ask for a run that starts from now on. `done` of the ticket resolves, it never raises."""

    def remove(self, pair_id: str) -> Ticket:
        """Carry out what `pairs.removal` says; after a success the pair's row is gone."""

    def wake(self) -> None:
        """Something became due."""

    def lateness(self) -> float | None:
        """Seconds that the schedule is behind; None where it does not run in this process."""


@dataclass(frozen=True, slots=True)
class Services:
    """`wait_seconds` is how long a request waits for a run before it answers 202."""

    db: Database
    keyring: Keyring
    settings: Settings
    http: HttpClient
    runner: Runner
    now: Callable[[], datetime]
    wait_seconds: float = 25.0


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesParam = Annotated[Services, Depends(services_of)]
