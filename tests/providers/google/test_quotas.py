"""What Google's refusals say of whom (rule 24), and what counts for its quotas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from calendarsync.net import HttpClient
from calendarsync.providers.base import RateLimited
from calendarsync.providers.google.calls import Call, events_path
from calendarsync.providers.google.errors import Answer, raise_for_account
from calendarsync.providers.google.session import Session
from tests.providers.google.helpers import NOW
from tests.providers.tokens import GrantTokens
from tests.testbed.google import Account, Model


def refusal(reason: str, message: str = "", details: object = ()) -> Mapping[str, Any]:
    said = {"domain": "usageLimits", "reason": reason, "message": message}
    return {"error": {"code": 403, "message": message, "errors": [said], "details": details}}


def exceeded(limit: str) -> str:
    """The message as it is quoted in cal.com #18079, OutlookGoogleCalendarSync #1133 and others."""
    return (
        f"Quota exceeded for quota metric 'Queries' and limit '{limit}' of service 'calendar-json.googleapis.com' "
        "for consumer 'project_number:1234567890'."
    )


def named(limit: object) -> list[Any]:
    return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "metadata": {"quota_limit": limit}}]


REFUSALS = {
    "project": (refusal("rateLimitExceeded", exceeded("Queries per minute")), True),
    "day": (refusal("rateLimitExceeded", exceeded("Queries per day")), True),
    "daily": (refusal("dailyLimitExceeded", "Daily Limit Exceeded"), True),
    "named": (refusal("rateLimitExceeded", "", named("defaultPerMinutePerProject")), True),
    "user": (refusal("rateLimitExceeded", exceeded("Queries per minute per user")), False),
    "named user": (refusal("rateLimitExceeded", "", named("defaultPerMinutePerUser")), False),
    "calendar": (refusal("quotaExceeded", "Calendar usage limits exceeded."), False),
    "in a hurry": (refusal("userRateLimitExceeded", "User Rate Limit Exceeded"), False),
    "no reason": (refusal("rateLimitExceeded", "Rate Limit Exceeded"), False),
    "rubbish": (refusal("rateLimitExceeded", exceeded(""), named(7)), False),
}


@pytest.mark.rule(24)
@pytest.mark.parametrize("name", sorted(REFUSALS))
@pytest.mark.parametrize("status", [403, 429])
def test_a_refusal_is_the_projects_only_where_google_says_so(name: str, status: int) -> None:
    data, of_project = REFUSALS[name]
    with pytest.raises(RateLimited) as refused:
        raise_for_account(Answer(status, data), NOW)
    assert refused.value.of_project is of_project
    assert "1234567890" not in str(refused.value)


async def test_each_call_of_a_batch_counts(client: HttpClient, google_model: Model, account: Account) -> None:
    tokens = GrantTokens(account)
    session = Session(client, tokens, api_url=google_model.url, now=lambda: NOW)
    call = Call("GET", events_path(account.email))
    await session.send(call)
    assert (tokens.calls, session.requests) == (1, 1)
    await session.send_all([call] * 5)
    assert (tokens.calls, session.requests) == (6, 2)
    patch = Call("PATCH", f"{events_path(account.email)}/none", body={})
    await session.send(patch)
    await session.send_all([patch, call])
    assert (tokens.calls, session.requests) == (6 + 3 + 4, 4), "a patch counts as three"
