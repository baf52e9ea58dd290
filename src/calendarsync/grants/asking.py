"""The token endpoint (RFC 6749 section 3.2): one question, and its answer or why there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from calendarsync.grants.errors import GrantError
from calendarsync.grants.refusals import Use, busy, numbers_of, refusal, text_of
from calendarsync.net import HttpClient, NetError, Response
from calendarsync.providers.base import Unavailable
from calendarsync.providers.failures import no_answer, request_to_slow_down

TIMEOUT_SECONDS = 20.0
MAX_CLOCK_SKEW = timedelta(minutes=5)
"""What providers let pass in the times of what is signed, about."""

_MAX_BYTES = 256 * 1024
_DEFAULT_LASTS, _LONGEST = 300.0, 86_400.0
_MARGIN = 60.0
"""How long an access token is good for at least when it is handed out, in seconds."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """`usable_until` leaves a margin before the access token's end; `scopes` is None where it was not told."""

    access_token: str = field(repr=False)
    usable_until: datetime
    refresh_token: str | None = field(repr=False)
    scopes: tuple[str, ...] | None
    id_token: str | None = field(repr=False)


async def ask(
    http: HttpClient,
    provider_name: str,
    url: str,
    form: Mapping[str, str],
    *,
    use: Use,
    now: Callable[[], datetime],
) -> TokenAnswer:
    """Raises GrantError. What it is raised for has not changed anything at the provider, save where there was no
    answer: a refresh token may be spent then.
    """
    asked_at = now()
    response = await post_form(http, provider_name, url, form, now=now)
    answer = _json(response)
    if response.status == 200:
        return _tokens(provider_name, answer, asked_at)
    error = text_of(answer, "error")
    if response.status >= 500 or not error or response.status not in (400, 401, 403):
        raise busy(provider_name)
    raise refusal(
        provider_name,
        error,
        use=use,
        description=text_of(answer, "error_description"),
        numbers=numbers_of(answer),
        subtype=text_of(answer, "error_subtype"),
        clock_is_off=_is_off(response, now()),
    )


async def post_form(
    http: HttpClient, provider_name: str, url: str, form: Mapping[str, str], *, now: Callable[[], datetime]
) -> Response:
    """The answer, whatever its status; raises GrantError where there is none, or one that asks to slow down."""
    try:
        response = await http.request(
            "POST",
            url,
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
            body=urlencode(form).encode(),
            max_bytes=_MAX_BYTES,
            timeout_seconds=TIMEOUT_SECONDS,
            follow_redirects=False,
            # A form shows secrets: without TLS it goes nowhere but to the networks that are allowed.
            confined=url.startswith("http:"),
        )
    except NetError as error:
        problem = no_answer(error)
        passes = isinstance(problem, Unavailable)
        raise GrantError("provider_unavailable" if passes else "unreachable", problem.message) from None
    slow_down = request_to_slow_down(response, now())
    if slow_down is not None:
        wait = slow_down.retry_after
        raise (
            GrantError("rate_limited", f"{provider_name} asks to slow down.", retry_after=wait)
            if response.status == 429
            else busy(provider_name, retry_after=wait)
        )
    return response


def _json(response: Response) -> Mapping[str, Any]:
    try:
        answer = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _tokens(provider_name: str, answer: Mapping[str, Any], asked_at: datetime) -> TokenAnswer:
    access_token = text_of(answer, "access_token")
    if not access_token or text_of(answer, "token_type").lower() != "bearer":
        raise busy(provider_name)
    scopes = text_of(answer, "scope")
    return TokenAnswer(
        access_token,
        asked_at + timedelta(seconds=_usable(answer.get("expires_in"))),
        text_of(answer, "refresh_token") or None,
        tuple(scopes.split()) if scopes else None,
        text_of(answer, "id_token") or None,
    )


def _usable(expires_in: object) -> float:
    """Seconds; RFC 6749 section 5.1 recommends that `expires_in` be there, and does not require it."""
    try:
        lasts = float(str(expires_in))
    except ValueError:
        lasts = math.nan
    lasts = _DEFAULT_LASTS if math.isnan(lasts) else min(max(lasts, 0.0), _LONGEST)
    return max(lasts - _MARGIN, lasts / 2)


def _is_off(response: Response, now: datetime) -> bool:
    """Whether the answer's Date (RFC 9110 section 6.6.1) is far from our time."""
    try:
        date = parsedate_to_datetime(response.headers.get("Date", ""))
        return abs(date - now) > MAX_CLOCK_SKEW
    except (TypeError, ValueError):
        return False
