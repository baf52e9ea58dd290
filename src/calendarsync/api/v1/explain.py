"""/sync-pairs/{pair_id}/explain"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import RowMapping

from calendarsync import __version__
from calendarsync.accounts.scopes import Scope
from calendarsync.api.errors import invalid, not_found
from calendarsync.api.route import ApiRoute, Caller, needs
from calendarsync.api.services import Services, ServicesParam
from calendarsync.api.v1 import pairing
from calendarsync.api.v1.explain_models import (
    CalendarRead,
    ExplanationOut,
    Moment,
    PairExplained,
    PairProblem,
    PastOperation,
    Span,
)
from calendarsync.api.v1.fields import PairId, Text
from calendarsync.api.v1.responses import NOT_FOUND
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.link import Direction
from calendarsync.store import connections as connection_store
from calendarsync.sync.explain import Explanation
from calendarsync.sync.explaining import Trouble, explain
from calendarsync.sync.inputs import Tools

router = APIRouter(prefix="/sync-pairs", tags=["Sync pairs"], route_class=ApiRoute)

AT_MOST = 100
_LOOKED_BACK = timedelta(days=30)


@router.get("/{pair_id}/explain", openapi_extra=needs(Scope.LOGS_READ), responses=NOT_FOUND)
async def explain_pair(
    *,
    services: ServicesParam,
    caller: Caller,
    pair_id: PairId,
    event_id: Annotated[
        Text | None,
        Query(
            min_length=1,
            max_length=1100,
            description="An event or a copy, by its id or UID; an instance of a series as `{id}_20260302T080000Z`, "
            "with its original start in UTC, or `{id}_20260302` of an all-day series.",
        ),
    ] = None,
    at: Annotated[
        Moment | None, Query(description="A moment: all entries of both calendars that cover it.")
    ] = None,
) -> PairExplained:
    """Why an event is, or is not, where it was expected. Nothing is read anew, and nothing is written.

    Exactly one of `event_id` and `at` is given. At most 100 entries are told.
    """
    question = event_id if event_id is not None else at
    if question is None or (event_id is not None and at is not None):
        raise invalid(*((name, "give either event_id or at") for name in ("event_id", "at")))
    async with services.db.read_as(caller.tenant) as connection:
        pair = await pairing.get(connection, caller, pair_id)
        ids = (pair["connection_a_id"], pair["connection_b_id"])
        ends = await connection_store.get_connections(connection, caller.tenant, ids)
    now = services.now()
    since = now - min(timedelta(days=caller.plan.log_days), _LOOKED_BACK)
    async with services.planning:
        answer = await explain(services.db, pair_id, _tools(services), question, now=now, logs_since=since)
    if answer is None:  # it went in this moment
        raise not_found("sync pair")
    of_side = {Direction.A_TO_B: ids[0], Direction.B_TO_A: ids[1], None: None}
    told = answer.explanations
    return PairExplained(
        explanations=[_explanation(each, of_side[each.out_of]) for each in told[:AT_MOST]],
        has_more=len(told) > AT_MOST,
        problems=[_problem(each, pair, ends) for each in answer.troubles],
        calendars=[_calendar(ends[each]) for each in ids],
        window=Span(first=answer.window.first.date(), last=answer.window.last.date()),
        operations=[PastOperation(**_shown(row)) for row in answer.operations],
    )


def _tools(services: Services) -> Tools:
    keyring = services.keyring
    return Tools(keyring.mark_keys, Fingerprinter(keyring.fingerprint_key), __version__)


def _explanation(told: Explanation, connection_id: str | None) -> ExplanationOut:
    because = told.because
    return ExplanationOut(
        event_id=told.event_id,
        role=told.role.value,
        decision=told.decision,
        rule=because.rule,
        reason=told.reason,
        explanation=told.text,
        remedy=because.remedy,
        connection_id=connection_id,
        direction=told.direction.value if told.direction else None,
        original_start=told.original,
        starts_at=told.starts_at,
        copy_id=told.copy_id,
        source_id=told.source_id,
        since=told.since,
        retry_at=told.retry_at,
    )


def _problem(trouble: Trouble, pair: RowMapping, ends: Mapping[str, RowMapping]) -> PairProblem:
    end = ends.get(trouble.connection_id or "")
    code, message = (
        (pair["attention_code"], pair["attention_message"])
        if end is None
        else (end["last_error_code"], end["last_error_message"])
    )
    return PairProblem(
        reason=trouble.reason,
        rule=trouble.because.rule,
        explanation=trouble.because.explanation,
        remedy=trouble.because.remedy,
        message=message if code == trouble.reason else None,
        connection_id=trouble.connection_id,
        until=trouble.until,
    )


def _calendar(row: RowMapping) -> CalendarRead:
    return CalendarRead(
        connection_id=row["id"],
        status=row["status"],
        last_synced_at=row["last_synced_at"],
        known=row["cursor"] is not None,
    )


def _shown(row: RowMapping) -> Mapping[str, Any]:
    return {name: row[name] for name in PastOperation.model_fields}
