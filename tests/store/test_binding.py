"""The check of bindings finds what is not bound, and nothing else."""

from __future__ import annotations

import pytest
from sqlalchemy import (
    Column,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from calendarsync.store.tables import accounts, api_keys, connections, links, operations, orders, pairs, runs
from calendarsync.store.tenancy import of_account, owned
from tests.store.binding import unbound
from tests.store.made_up import TENANT

other = pairs.alias()
unlisted = Table("unlisted", MetaData(), Column("id", String), Column("account_id"), Column("mode"))
by_hand = and_(pairs.c.account_id == "acct", pairs.c.mode == "live")
pairs_of_all = select(pairs.c.connection_a_id)
given = func.unnest(bindparam("ids")).table_valued("id")
steps = select(operations).join(runs, runs.c.id == operations.c.run_id)

NOT_BOUND_FOR_CALLERS = {
    "nothing": (select(pairs), {"pairs"}),
    "an id": (select(pairs).where(pairs.c.id == "id"), {"pairs"}),
    "the account alone": (select(pairs).where(of_account(pairs)), {"pairs"}),
    "past the helper": (select(pairs).where(by_hand), {"pairs"}),
    "an alternative": (select(pairs).where(or_(owned(pairs), pairs.c.id == "id")), {"pairs"}),
    "the opposite": (select(pairs).where(~owned(pairs)), {"pairs"}),
    "another alias": (select(pairs, other).where(owned(pairs)), {"pairs"}),
    "an outer join": (
        select(pairs.c.id, other.c.id).outerjoin(other, and_(owned(other), owned(pairs))),
        {"pairs"},
    ),
    "a subquery": (
        select(connections).where(owned(connections), connections.c.id.in_(pairs_of_all)),
        {"pairs"},
    ),
    "an EXISTS": (
        select(connections).where(
            owned(connections), exists().where(pairs.c.connection_a_id == connections.c.id)
        ),
        {"pairs"},
    ),
    "a subquery in a column": (
        select(connections.c.id, pairs_of_all.scalar_subquery()).where(owned(connections)),
        {"pairs"},
    ),
    "a subquery to select from": (select(pairs_of_all.subquery()), {"pairs"}),
    "a CTE": (select(pairs_of_all.cte()), {"pairs"}),
    "a union": (select(pairs.c.id).where(owned(pairs)).union(select(runs.c.id)), {"runs"}),
    "an update": (update(pairs).where(pairs.c.id == "id").values(status="paused"), {"pairs"}),
    "a second table of an update": (
        update(pairs)
        .where(owned(pairs), pairs.c.connection_a_id == connections.c.id)
        .values(status="paused"),
        {"connections"},
    ),
    "a value of an update": (
        update(pairs).where(owned(pairs)).values(status=select(runs.c.status).scalar_subquery()),
        {"runs"},
    ),
    "a delete": (delete(pairs), {"pairs"}),
    "an insert": (insert(pairs).values(id="id"), {"pairs"}),
    "a child": (select(operations).where(operations.c.run_id == "id"), {"operations"}),
    "a child of what is not bound": (steps, {"operations", "runs"}),
    "both modes": (select(connections).where(of_account(connections)), {"connections"}),
    "a key": (select(api_keys), {"api_keys"}),
    "a table that is not listed": (select(unlisted).where(owned(unlisted)), {"unlisted"}),
    "a text": (text("SELECT 1 FROM pairs"), {"text: SELECT 1 FROM pairs"}),
}
BOUND_FOR_CALLERS = {
    "by the helper": select(pairs).where(owned(pairs)),
    "in all alternatives": select(pairs).where(
        or_(and_(owned(pairs), pairs.c.id == "a"), and_(owned(pairs), pairs.c.id == "b"))
    ),
    "in a subquery": select(connections).where(
        owned(connections), connections.c.id.in_(pairs_of_all.where(owned(pairs)))
    ),
    "with an alias": select(pairs, other).where(owned(pairs), owned(other)),
    "a child": steps.where(owned(runs)),
    "by account": select(api_keys).where(of_account(api_keys)),
    "the installation's": select(accounts),
    "an insert": insert(pairs).values(id="id", **TENANT.values()),
}
NOT_BOUND_FOR_THE_ENGINE = {
    "nothing": (select(pairs), {"pairs"}),
    "the account alone": (select(pairs).where(pairs.c.account_id == "acct"), {"pairs"}),
    "a wider column": (select(links).where(links.c.target_calendar == "key"), {"links"}),
    "one of two": (select(pairs).where(or_(pairs.c.id == "id", pairs.c.calendar_a == "key")), {"pairs"}),
    "its own column": (select(pairs).where(pairs.c.id == pairs.c.calendar_a), {"pairs"}),
    "what is not bound": (
        select(pairs, connections).where(pairs.c.connection_a_id == connections.c.id),
        {"pairs", "connections"},
    ),
    "a wide subquery": (
        select(orders).where(orders.c.pair_id.in_(select(pairs.c.id))),
        {"pairs"},
    ),
}
BOUND_FOR_THE_ENGINE = {
    "an id": select(pairs).where(pairs.c.id == "id"),
    "ids": select(pairs).where(pairs.c.id.in_(("a", "b"))),
    "by hand": select(pairs).where(by_hand),
    "rows that were given": select(pairs).join(given, given.c.id == pairs.c.id),
    "what is bound": select(orders).join(pairs, pairs.c.id == orders.c.pair_id).where(pairs.c.id == "id"),
}


@pytest.mark.parametrize("name", NOT_BOUND_FOR_CALLERS)
def test_what_binds_nothing_for_callers_is_found(name: str) -> None:
    statement, expected = NOT_BOUND_FOR_CALLERS[name]
    assert unbound(statement, caller=True) == expected


@pytest.mark.parametrize("name", BOUND_FOR_CALLERS)
def test_what_is_bound_for_callers_is_left_alone(name: str) -> None:
    assert unbound(BOUND_FOR_CALLERS[name], caller=True) == set()


@pytest.mark.parametrize("name", NOT_BOUND_FOR_THE_ENGINE)
def test_what_binds_nothing_for_the_engine_is_found(name: str) -> None:
    statement, expected = NOT_BOUND_FOR_THE_ENGINE[name]
    assert unbound(statement, caller=False) == expected


@pytest.mark.parametrize("name", BOUND_FOR_THE_ENGINE)
def test_what_is_bound_for_the_engine_is_left_alone(name: str) -> None:
    assert unbound(BOUND_FOR_THE_ENGINE[name], caller=False) == set()
