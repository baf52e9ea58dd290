"""Version 1 of the API: everything under `/api/v1`, one file per resource."""

from __future__ import annotations

from fastapi import APIRouter

from calendarsync.api.v1 import (
    account,
    api_keys,
    availability,
    bulk,
    connections,
    delegations,
    explain,
    logs,
    pairs,
    sandbox,
    webhooks,
)

PREFIX = "/api/v1"

_RESOURCES = (
    *(connections, delegations, pairs, bulk, explain, logs, availability, webhooks, account, api_keys),
    sandbox,
)


def make_router() -> APIRouter:
    router = APIRouter(prefix=PREFIX)
    for resource in _RESOURCES:
        router.include_router(resource.router)
    return router
