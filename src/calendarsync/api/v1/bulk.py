"""/sync-pairs/bulk, /pause and /resume: many pairs with one request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema
from sqlalchemy import RowMapping

from calendarsync.accounts.keys import Identity
from calendarsync.accounts.scopes import Scope
from calendarsync.api.errors import CODES, ApiError, ErrorDetail, conflict, details_of, invalid
from calendarsync.api.route import ApiRoute, Caller, needs
from calendarsync.api.services import Services, ServicesParam
from calendarsync.api.v1 import pairing
from calendarsync.api.v1.fields import Body, Text, Timestamp, omitted
from calendarsync.api.v1.pair_models import NewPair, PairOut, pair_out
from calendarsync.api.v1.pairing import PairRow
from calendarsync.store import connections as connection_store
from calendarsync.store import pairs as store
from calendarsync.store.dialects import one_at_a_time

router = APIRouter(prefix="/sync-pairs", tags=["Sync pairs"], route_class=ApiRoute)

MAX_PAIRS = 1_000
_MADE_AT_ONCE = 250
"""Pairs of one transaction."""

# Each is judged by itself, so that one that is wrong does not speak for the others.
_Unjudged = Annotated[Any, WithJsonSchema({"$ref": "#/components/schemas/NewPair"})]


class NewPairs(Body):
    pairs: list[_Unjudged] = Field(min_length=1, max_length=MAX_PAIRS)


class ItemError(BaseModel):
    """As in the answer to a request for this pair alone; the fields are those of the pair."""

    code: str
    message: str
    details: list[ErrorDetail] = Field(default_factory=omitted)


class ItemResult(BaseModel):
    index: int = Field(description="Which of the pairs that were sent: the first is 0.")
    status: int = Field(
        description="What this pair alone would have been answered: 201, 409 or 422.", examples=[201]
    )
    pair: PairOut = Field(
        default_factory=omitted, description="The new one; with 409 the one that exists already."
    )
    error: ItemError = Field(default_factory=omitted, description="Where the status is not 201.")


class ItemResults(BaseModel):
    results: list[ItemResult] = Field(description="In the order in which the pairs were sent.")


def _check_true(value: bool) -> bool:
    if not value:
        raise ValueError("must be true, or left out")
    return value


class PairSelection(Body):
    """Either `pair_ids` or `all`."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["pair_ids"]}, {"required": ["all"]}]}
    )

    pair_ids: list[Annotated[Text, Field(max_length=100)]] = Field(
        default_factory=omitted, min_length=1, max_length=MAX_PAIRS
    )
    all: Annotated[bool, AfterValidator(_check_true)] = Field(
        default_factory=omitted,
        description="All pairs of the account and mode.",
        json_schema_extra={"const": True},
    )


class PauseRequest(PairSelection):
    resume_at: Timestamp | None = Field(
        default=None, description="When they become active by themselves; null: never."
    )


class Switched(BaseModel):
    pair_id: str
    result: Literal["changed", "unchanged", "being_removed", "not_found"]


class SwitchResults(BaseModel):
    results: list[Switched]
    changed: int = Field(description="How many were.")


@router.post("/bulk", openapi_extra=needs(Scope.PAIRS_WRITE), response_model_exclude_unset=True)
async def create_pairs(services: ServicesParam, caller: Caller, body: NewPairs) -> ItemResults:
    """Make up to 1,000 pairs, each for itself: what is wrong with one does not keep the others from being made.

    Sent again, it makes none twice, and tells those that exist: their status is 409 then.
    """
    made = [_Item(index, given) for index, given in enumerate(body.pairs)]
    wanted = [item for item in made if item.result is None]
    for start in range(0, len(wanted), _MADE_AT_ONCE):
        await _make(services, caller, wanted[start : start + _MADE_AT_ONCE])
    if any(item.result.status == 201 for item in made if item.result):
        services.wake()
    return ItemResults(results=[item.result for item in made if item.result])


@router.post("/pause", openapi_extra=needs(Scope.PAIRS_WRITE))
async def pause_pairs(services: ServicesParam, caller: Caller, body: PauseRequest) -> SwitchResults:
    """Pause pairs, whatever their status: nothing is read or written for them. What runs comes to its end.

    One that is paused already takes over `resume_at`.
    """
    kept = None if body.resume_at is None else pairing.kept_resume_at(services, caller, body.resume_at)
    paused = {"status": "paused", "resume_at": kept}

    def is_to_change(row: RowMapping) -> bool:
        return any(row[name] != value for name, value in paused.items())

    return await _switch(services, caller, body, is_to_change, {**paused, "due_at": kept})


@router.post("/resume", openapi_extra=needs(Scope.PAIRS_WRITE))
async def resume_pairs(services: ServicesParam, caller: Caller, body: PairSelection) -> SwitchResults:
    """Make paused pairs active; all others stay as they are. One run each brings in what happened meanwhile."""
    values = {
        "status": "active",
        "resume_at": None,
        "attention_code": None,
        "attention_message": None,
        "attention_details": None,
        "due_at": services.now(),
    }
    return await _switch(services, caller, body, lambda row: row["status"] == "paused", values)


class _Item:
    """One pair that is to be made, and what came of it as soon as that is known."""

    def __init__(self, index: int, given: object) -> None:
        self.index = index
        self.result: ItemResult | None = None
        try:
            self.wanted = NewPair.model_validate(given)
        except ValidationError as error:
            located = [
                {**each, "loc": ("body", *each["loc"]) if each["loc"] else ("pair",)}
                for each in error.errors()
            ]
            self.refuse(invalid(*details_of(located)))

    def refuse(self, error: ApiError, pair: PairOut | None = None) -> None:
        told = ItemError(code=CODES[error.status], message=error.message)
        if error.details:
            told.details = [ErrorDetail(field=field, message=message) for field, message in error.details]
        self.result = ItemResult(index=self.index, status=error.status, error=told)
        if pair is not None:
            self.result.pair = pair


async def _make(services: Services, caller: Identity, items: Sequence[_Item]) -> None:
    """Make these pairs in one transaction, and note what came of each."""
    now, tenant = services.now(), caller.tenant
    ids = {end for item in items for end in (item.wanted.connection_a_id, item.wanted.connection_b_id)}
    decided: list[tuple[_Item, str, bool]] = []
    async with services.db.write_as(tenant) as connection:
        await one_at_a_time(connection, store.making(tenant))
        ends = await connection_store.get_connections(connection, tenant, ids, keep=True)
        found = await store.pairs_among(connection, tenant, ids)
        there = _Pairs(found)
        rows: list[dict[str, Any]] = []
        for item in items:
            # Apart by a moment each, so that they are listed in the order in which they were sent.
            row = pairing.row_of(item.wanted, now + timedelta(microseconds=item.index))
            try:
                a, b = pairing.check_ends(row, ends)
            except ApiError as error:
                item.refuse(error)
                continue
            equal = pairing.equal_pair(row, there.between(row))
            if equal is None:
                rows.append(row | {"calendar_a": a["calendar_key"], "calendar_b": b["calendar_key"]})
                there.add(row)
            decided.append((item, (equal or row)["id"], equal is None))
        await store.insert_pairs(connection, tenant, rows)
        # One that was there may have gone meanwhile.
        after = await store.pairs_among(connection, tenant, ids)
        shown = {row["id"]: pair_out(row, caller.clock) for row in (*found, *after)}
    for item, pair_id, is_new in decided:
        if is_new:
            item.result = ItemResult(index=item.index, status=201, pair=shown[pair_id])
        else:
            item.refuse(conflict(pairing.exists(pair_id)), pair=shown[pair_id])


class _Pairs:
    """Pairs by the connections at their ends, whichever is which."""

    def __init__(self, rows: Iterable[PairRow]) -> None:
        self._by_ends: defaultdict[frozenset[str], list[PairRow]] = defaultdict(list)
        for row in rows:
            self.add(row)

    def add(self, row: PairRow) -> None:
        self._by_ends[self._ends(row)].append(row)

    def between(self, row: PairRow) -> Sequence[PairRow]:
        return self._by_ends[self._ends(row)]

    @staticmethod
    def _ends(row: PairRow) -> frozenset[str]:
        return frozenset((row["connection_a_id"], row["connection_b_id"]))


async def _switch(
    services: Services,
    caller: Identity,
    body: PairSelection,
    is_to_change: Callable[[RowMapping], bool],
    values: Mapping[str, Any],
) -> SwitchResults:
    """Change those of the selected pairs that are to change, all in one moment. Raises ApiError 422."""
    given = body.model_fields_set & {"pair_ids", "all"}
    if len(given) != 1:
        field, message = ("all", "cannot be combined with pair_ids") if given else ("pair_ids", "is required")
        raise invalid((field, message))
    named = list(dict.fromkeys(body.pair_ids)) if "pair_ids" in given else None
    async with services.db.write_as(caller.tenant) as connection:
        rows = {row["id"]: row for row in await store.lock_pairs(connection, caller.tenant, named)}
        results = [_switched(pair_id, rows.get(pair_id), is_to_change) for pair_id in named or rows]
        changed = [each.pair_id for each in results if each.result == "changed"]
        await store.update_pairs(connection, caller.tenant, changed, {**values, **store.CHANGED})
    if changed:
        services.wake()
    return SwitchResults(results=results, changed=len(changed))


def _switched(pair_id: str, row: RowMapping | None, is_to_change: Callable[[RowMapping], bool]) -> Switched:
    if row is None:
        return Switched(pair_id=pair_id, result="not_found")
    if row["removal"]:
        return Switched(pair_id=pair_id, result="being_removed")
    return Switched(pair_id=pair_id, result="changed" if is_to_change(row) else "unchanged")
