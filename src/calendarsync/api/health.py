"""/health: for load balancers and people, without a key."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from calendarsync import __version__
from calendarsync.api.services import ServicesParam
from calendarsync.observability import describe_exception, get_logger

router = APIRouter(tags=["Health"])
_log = get_logger(__name__)


class Health(BaseModel):
    status: Literal["ok", "error"]
    version: str
    database: Literal["ok", "error"]
    schedule_late_seconds: float | None = Field(
        description="How far the schedule is behind; null where it does not run in this process."
    )


@router.get("/health", responses={503: {"model": Health, "description": "The database cannot be used."}})
async def health(services: ServicesParam, response: Response) -> Health:
    """Whether the process and its database work, and how late the schedule runs."""
    database: Literal["ok", "error"] = "ok"
    try:
        async with services.db.read() as connection:
            await connection.execute(text("SELECT 1 FROM installation"))
    except (SQLAlchemyError, OSError) as error:
        _log.error("database does not answer", **describe_exception(error))
        database, response.status_code = "error", 503
    return Health(
        status=database,
        version=__version__,
        database=database,
        schedule_late_seconds=await services.runner.lateness(),
    )
