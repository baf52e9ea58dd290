"""/metrics: what this process counts, for Prometheus."""

from __future__ import annotations

import asyncio
import hmac
from ipaddress import IPv6Address, ip_address

from fastapi import APIRouter, Request, Response
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from calendarsync.api.errors import ApiError, ErrorBody
from calendarsync.api.services import Services, ServicesParam
from calendarsync.metrics import CONTENT_TYPE
from calendarsync.store.database import DatabaseUnavailable

router = APIRouter(tags=["Health"])

_PATIENCE_SECONDS = 2.0
# What proxies add: RFC 7239, RFC 9110 §7.6.3, and the names in use that no RFC has.
_FORWARDED = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"})


class MetricsText(Response):
    media_type = CONTENT_TYPE


@router.get(
    "/metrics",
    response_class=MetricsText,
    responses={
        401: {"model": ErrorBody, "description": "The token is missing or wrong."},
        403: {"model": ErrorBody, "description": "No token is set, and the caller is not on this machine."},
    },
)
async def metrics(services: ServicesParam, request: Request) -> MetricsText:
    """What this process counts, as text for Prometheus.

    Where `CALENDARSYNC_METRICS_TOKEN` is set it is asked for, as `Authorization: Bearer …`, whoever calls. Where
    it is not, only callers on the same machine are answered, and those not through a proxy.
    """
    _admit(request, services.settings.metrics_token)
    await _measure(services)
    return MetricsText(services.metrics.text())


def _admit(request: Request, token: SecretStr | None) -> None:
    """Raises ApiError 401, 403."""
    if token is None:
        if not _is_local(request):
            raise ApiError(403, "metrics are told on this machine alone, unless a token is set for them")
        return
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = token.get_secret_value().encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), expected):
        challenge = {"WWW-Authenticate": 'Bearer realm="CalendarSync metrics"'}
        raise ApiError(401, "send the metrics token in the header Authorization: Bearer …", headers=challenge)


def _is_local(request: Request) -> bool:
    """Whether the peer is on this machine. Behind a proxy every peer is, so a forwarded request is not."""
    forwarded = any(name in _FORWARDED or name.startswith("x-forwarded-") for name in request.headers)
    if forwarded or request.client is None:
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


async def _measure(services: Services) -> None:
    """Read the gauges that nobody keeps. The database has 2 seconds to answer."""
    lateness, up = float("nan"), True
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            lateness = await services.runner.lateness() or 0.0
    except (DatabaseUnavailable, SQLAlchemyError, OSError, TimeoutError):
        up = False
    in_use, idle = services.db.connections()
    services.metrics.set_schedule_lateness(lateness)
    services.metrics.set_database(services.db.backend, up=up, in_use=in_use, idle=idle)
