"""How the model behaves where the documentation is silent, or where the service is known to vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass
class Habits:
    """Each may be changed at any time.

    Limits of a mailbox (throttling-limits): `in_flight` requests at a time, `requests` in `seconds`.

    Delta: `page` rows where no page size is asked for, `page_limit` at most. `repeats`: how many rows of each round
    come twice ("a single entity may be contained multiple times"). `masters`: whether the row of a master stands
    beside those of its instances. `lag`: so many of the next rounds do not show any change yet ("processing
    delays"). `lost_token`: how a token that is not known any more is answered: 410 with a Location, or 400 with
    one of the codes. `transaction_in_delta`: whether rows show the transactionId.

    Answers: `links`: whether an event names the calendar that it is in.

    Writes: `shortened`: what becomes of exceptions and cancelled instances when nothing but a series' end changes.
    `churn`: how often an event's changeKey moves on by itself after its create, as Exchange works on it.
    `transaction_after_delete`: whether the transactionId of a deleted event makes a new one, or is refused (409).

    Subscriptions: `subscription_minutes` is the longest life of one. `duplicates`: whether a second one to the same
    changes of the same resource is refused (409, as subscription-post-subscriptions says) or made (as people see
    it). `retries`: seconds before each further attempt to deliver a notice; Graph goes on for four hours.
    """

    in_flight: int = 4
    requests: int = 10_000
    seconds: int = 600
    page: int = 50
    page_limit: int = 1000
    repeats: int = 0
    masters: bool = True
    lag: int = 0
    lost_token: Literal["gone", "syncStateNotFound", "syncStateInvalid"] = "gone"
    transaction_in_delta: bool = True
    links: bool = True
    shortened: Literal["drop", "keep"] = "drop"
    churn: int = 0
    transaction_after_delete: Literal["allow", "refuse"] = "allow"
    subscription_minutes: int = 10_080
    duplicates: Literal["refuse", "allow"] = "refuse"
    retries: tuple[float, ...] = (0.2, 1.0)
