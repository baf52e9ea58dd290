"""Plans: what an account may use. They are data; the code asks for a limit, never for a plan's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Plan:
    """`log_days` is how long logs are kept and listed."""

    name: str
    requests_per_hour: int
    log_days: int


FREE = Plan("free", requests_per_hour=100, log_days=7)
PRO = Plan("pro", requests_per_hour=2_000, log_days=90)
PLANS: Mapping[str, Plan] = {plan.name: plan for plan in (FREE, PRO)}

TRIAL = timedelta(days=14)
TRIAL_PLAN = PRO


def plan_in_effect(plan: str, trial_ends_at: datetime | None, now: datetime) -> Plan:
    """What holds of an account at the moment: its plan's limits, or those of the trial while it lasts.

    Raises KeyError where there is no plan of that name.
    """
    return TRIAL_PLAN if trial_ends_at is not None and now < trial_ends_at else PLANS[plan]
