"""Who makes a request: its key, and the count of the account, or of the network where there is no valid key."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import Depends, Request

from calendarsync.accounts.keys import Identity
from calendarsync.accounts.limits import Allowance
from calendarsync.api.addresses import network_of_client
from calendarsync.api.errors import ApiError
from calendarsync.api.services import services_of

PREFIX = "/api/v1/"


async def admit(request: Request) -> Identity:
    """The caller, who has asked once more; its allowance is told by the answer, whatever that is.

    Raises ApiError 401, 429.
    """
    given = request.headers.getlist("authorization")
    scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not key.strip():
        raise await _refused(request, "send an API key in the header Authorization: Bearer cs_…", "")
    admitted = await services_of(request).gate.enter(key.strip())
    if admitted is None:
        raise await _refused(request, "the API key is not valid", ', error="invalid_token"')
    request.state.identity, request.state.allowance = admitted.identity, admitted.allowance
    if admitted.allowance.exceeded:
        message = f"this account has used its {admitted.allowance.limit} requests of this hour"
        raise _too_many(request, admitted.allowance, message)
    return admitted.identity


async def _refused(request: Request, message: str, challenge: str) -> ApiError:
    services = services_of(request)
    peer = request.client.host if request.client else None
    forwarded = request.headers.getlist("x-forwarded-for")
    network = network_of_client(peer, forwarded, services.settings.trusted_proxies)
    allowance = request.state.allowance = await services.gate.fail(network)
    if allowance.exceeded:
        return _too_many(request, allowance, "too many requests without a valid API key from your network")
    return ApiError(401, message, headers={"WWW-Authenticate": f'Bearer realm="CalendarSync"{challenge}'})


def _too_many(request: Request, allowance: Allowance, message: str) -> ApiError:
    seconds = math.ceil((allowance.resets_at - services_of(request).now()).total_seconds())
    return ApiError(429, message, headers={"Retry-After": str(max(1, seconds))})


def rate_headers(allowance: Allowance) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(allowance.limit),
        "X-RateLimit-Remaining": str(allowance.remaining),
        "X-RateLimit-Reset": str(math.ceil(allowance.resets_at.timestamp())),
    }


async def admit_at_no_route(request: Request) -> None:
    """The same for what the router refuses; who brings no key is told that there is nothing here, and no more.

    Raises ApiError 401, 429.
    """
    brings_key = "authorization" in request.headers and request.url.path.startswith(PREFIX)
    if brings_key and not hasattr(request.state, "allowance"):
        await admit(request)


# A dependency that is no coroutine would cost a trip to a thread.
async def _allowance(request: Request) -> Allowance:
    allowance: Allowance = request.state.allowance
    return allowance


CallersAllowance = Annotated[Allowance, Depends(_allowance)]
"""What the account has left after this request."""
