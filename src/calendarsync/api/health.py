"""/health: for load balancers and people, without a key."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from calendarsync import __version__
from calendarsync.api.services import ServicesParam
from calendarsync.jobs.pushing import state_of_push
from calendarsync.observability import describe_exception, get_logger
from calendarsync.store.database import DatabaseUnavailable, SchemaOutdated

router = APIRouter(tags=["Health"])
_log = get_logger(__name__)

_PATIENCE_SECONDS = 2.0


class Health(BaseModel):
    status: Literal["ok", "error"]
    version: str
    database: Literal["ok", "error"]
    reason: str | None = Field(description="Why the database cannot be used; null where it can.")
    schedule_late_seconds: float | None = Field(
        description="How far the schedule is behind; null where it does not run in this process."
    )
    push: str = Field(
        description="`on` where Google and Microsoft can tell of changes; else `off`, a colon and the reason.",
        examples=["on"],
    )


class Liveness(BaseModel):
    status: Literal["ok"]
    version: str


@router.get("/health", responses={503: {"model": Health, "description": "The database cannot be used."}})
async def health(services: ServicesParam, response: Response) -> Health:
    """Whether the process can do its work, and how late the schedule runs.

    The database has 2 seconds to answer, and its schema must not be older than the program.
    """
    lateness, reason = None, None
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await services.db.ensure_schema()
            lateness = await services.runner.lateness()
    except (DatabaseUnavailable, SchemaOutdated) as error:
        reason = str(error)
    except TimeoutError:
        reason = f"the database did not answer within {_PATIENCE_SECONDS:g} s"
    except (SQLAlchemyError, OSError) as error:
        _log.error("database does not answer", **describe_exception(error))
        reason = "the database cannot be used"
    if reason is not None:
        response.status_code = 503
    state: Literal["ok", "error"] = "ok" if reason is None else "error"
    return Health(
        status=state,
        version=__version__,
        database=state,
        reason=reason,
        schedule_late_seconds=lateness,
        push=state_of_push(services.settings),
    )


@router.get("/health/live")
async def health_live() -> Liveness:
    """That the process serves. It does not look at the database, whose failure no restart of the process cures."""
    return Liveness(status="ok", version=__version__)
