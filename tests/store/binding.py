"""Whether a statement of the store is bound to a tenant, or to an id that the engine has (store/tenancy.py).

What a caller's statement names must be bound by `owned`, or joined to what is. What the engine's statement names
must be bound by an id, or stand in `AT_LARGE` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Alias,
    BinaryExpression,
    BindParameter,
    Column,
    ColumnClause,
    CompoundSelect,
    Delete,
    Insert,
    Join,
    Select,
    Subquery,
    Table,
    TextClause,
    Update,
)
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BooleanClauseList, ClauseElement, Grouping
from sqlalchemy.sql.selectable import CTE, ScalarSelect
from sqlalchemy.sql.visitors import Visitable

from calendarsync.store import tables
from calendarsync.store.tenancy import ACCOUNT, MODE, OF_ACCOUNT, OF_INSTALLATION, OF_PARENT, OWNED

CALLER = frozenset(
    {
        "accounts",
        "authorizations",
        "clock",
        "connections",
        "delegations",
        "grants",
        "idempotency",
        "keys",
        "logs",
        "operations",
        "overview",
        "pairs",
        "people",
        "paging",
        "run_counts",
        "sandbox",
        "webhooks",
    }
)
ENGINE = frozenset(
    {
        *(
            "busy",
            "channels",
            "claiming",
            "claims",
            "clock_jumps",
            "choosing",
            "deliveries",
            "delivery_queues",
            "given",
            "grant_tokens",
            "homes",
            "index",
            "inspection",
            "left_behind",
            "limits",
            "links",
            "neighbours",
            "orders",
            "outbox",
            "pruning",
            "quiet",
            "quotas",
            "reserving",
            "retention",
            "runs",
        ),
        "schedule",
    }
)

LISTED = OWNED | OF_ACCOUNT | OF_PARENT.keys() | OF_INSTALLATION

IDS: Mapping[Table, Collection[str]] = {
    tables.connections: {"id"},
    tables.pairs: {"id", "connection_a_id", "connection_b_id"},
    tables.orders: {"sync_id", "pair_id"},
    tables.runs: {"id"},
    tables.webhooks: {"id"},
    tables.webhook_events: {"id"},
    tables.deliveries: {"id", "webhook_id"},
    tables.delegations: {"id"},
    tables.grants: {"id"},
    tables.authorizations: {"id"},
    tables.channels: {"id", "connection_id"},
    **{table: {column} for table, column in OF_PARENT.items()},
}
"""What binds a statement of the engine, beside an account and its mode together."""

_ALL = "the schedule claims for all accounts"
_WATCHED = "who tells of changes is looked after for all accounts"
_TOLD = "only the name that a provider has for a channel tells whose it is"
_PUT_OFF = "a clock that was set back put off the pairs of all accounts"
_LEFT = "whose pair a copy was is not known any more, and its calendar may be connected in several accounts"
_SENT = "what is due is sent for all accounts"
_CALENDAR = "a calendar may be connected in several accounts, and their pairs mind each other"
AT_LARGE: Mapping[tuple[str, str], str] = {
    ("keys.find_keys", "api_keys"): "only the key's hash tells whose it is",
    ("keys.tenant_of_key", "api_keys"): "a command names a key by its id alone",
    ("people.accounts_of", "members"): "who signs in may be a member of several accounts",
    ("authorizations.find_by_link", "authorizations"): "only the link's hash tells whose it is",
    ("authorizations.find_by_state", "authorizations"): "only the state's hash tells whose it is",
    ("authorizations.find_by_id", "authorizations"): "only the id in its address tells whose it is",
    ("authorizations.prune", "authorizations"): "what ran out goes after a while, in all accounts",
    ("authorizations.prune", "connections"): "what waits for such a link goes with it, in all accounts",
    ("channels.earliest_look", "connections"): _WATCHED,
    ("channels.claim_looks", "connections"): _WATCHED,
    ("channels.look_at_all", "connections"): _WATCHED,
    ("channels.look_at_all", "pairs"): _WATCHED,
    ("channels.notified", "channels"): _TOLD,
    ("channels.notified", "connections"): _TOLD,
    ("claiming.claim_ordered", "pairs"): _ALL,
    ("claiming.claim_ordered", "orders"): _ALL,
    ("claiming.claim_due", "pairs"): _ALL,
    ("choosing.ordered", "pairs"): _ALL,
    ("choosing.ordered", "orders"): _ALL,
    ("choosing.due", "pairs"): _ALL,
    ("choosing.company", "pairs"): _CALENDAR,
    ("busy.in_use", "pairs"): _CALENDAR,
    ("claims.earliest_due", "pairs"): _ALL,
    ("given.take_given", "pairs"): _ALL,
    ("given.retire", "pairs"): _ALL,
    ("homes.find_homes", "pairs"): _ALL,
    ("homes.find_homes", "connections"): _ALL,
    ("clock_jumps.pull_in", "pairs"): _PUT_OFF,
    ("clock_jumps.pull_in", "connections"): _PUT_OFF,
    ("clock_jumps.shorten_leases", "pairs"): _PUT_OFF,
    ("claims.lock_pairs", "connections"): _CALENDAR,
    ("neighbours.delete_pair", "connections"): _CALENDAR,
    ("links.copies_of_others", "links"): _CALENDAR,
    ("links.copies_of_others", "pairs"): _CALENDAR,
    ("links.copies_in", "links"): _CALENDAR,
    ("links.copies_in", "pairs"): _CALENDAR,
    ("links.is_written_by_others", "pairs"): _CALENDAR,
    ("links.linked_copies", "links"): _CALENDAR,
    ("links.upstreams", "links"): _CALENDAR,
    ("links.upstreams", "pairs"): _CALENDAR,
    ("links.upstreams", "event_index"): _CALENDAR,
    ("links.upstreams", "kept_copies"): _CALENDAR,
    ("neighbours.relaying", "connections"): _CALENDAR,
    ("inspection.list_grants", "grants"): "whoever runs the installation is told of all",
    ("delivery_queues.earliest_due", "deliveries"): _SENT,
    ("grant_tokens.prune", "connections"): "what nothing came of goes after a while, in all accounts",
    ("grant_tokens.prune", "authorizations"): "what nothing came of goes after a while, in all accounts",
    ("grant_tokens.is_granted", "grants"): "at the provider all grants of a person end together",
    ("delivery_queues.waiting", "deliveries"): _SENT,
    ("deliveries.pull_in", "deliveries"): "a clock that was set back put off the deliveries of all accounts",
    **{
        (f"pruning.{function}", table): "what is kept no longer goes, in all accounts"
        for function in ("delete_old", "count_old")
        for table in ("webhook_events", "idempotency", "orders", "api_keys")
    },
    ("pruning.count_old", "authorizations"): "what is kept no longer is counted, in all accounts",
    ("grant_tokens.unused_after", "grants"): "what nothing came of is looked for, in all accounts",
    ("grant_tokens.unused_after", "connections"): "what nothing came of is looked for, in all accounts",
    ("grant_tokens.unused_after", "authorizations"): "what nothing came of is looked for, in all accounts",
    **{
        (f"left_behind.{function}", table): _LEFT
        for function in ("forget_gone", "count_gone")
        for table in ("kept_copies", "event_index", "connections", "pairs")
    },
    ("retention.accounts_with_pairs", "pairs"): "some hundred accounts are looked at together, in both modes",
    ("retention.count_brief_logs", "runs"): "logs are thinned in all accounts",
    ("retention.delete_brief_logs", "runs"): "logs are thinned in all accounts",
    ("retention.delete_brief_logs", "run_counts"): "what a log is taken off tells the log",
    ("retention.delete_counts", "run_counts"): "the spans are chosen among those of the accounts",
    ("retention.delete_logs", "run_counts"): "what a log is taken off tells the log",
}
"""(function, table) that nothing binds, and why."""

_STATEMENTS = (Select, CompoundSelect, Update, Delete, Insert)
_Named = frozenset[Any]  # of Table and Alias: one table may be named twice


def unbound(statement: Visitable, given: Collection[str] = (), *, caller: bool) -> set[str]:
    """What `statement` names without a binding, or without being listed. `given`: its parameters' names."""
    if isinstance(statement, TextClause):
        return {f"text: {statement.text}"}
    check = _Check(caller, frozenset(given))
    form = statement._generate_cache_key() if isinstance(statement, ClauseElement) else None
    if form is None:
        return set(check.walk(statement, frozenset(), frozenset()))
    if (check, form.key) not in _judged:
        _judged[check, form.key] = frozenset(check.walk(statement, frozenset(), frozenset()))
    return set(_judged[check, form.key])


@dataclass(frozen=True)
class _Check:
    caller: bool
    given: frozenset[str]

    def walk(self, statement: Visitable, outer: _Named, outer_bound: _Named) -> Iterator[str]:
        """`outer` is what the statement around this one names; it may be meant here as well."""
        named, inner = _names(statement)
        mine = (named - outer) or named
        bound = outer_bound
        if isinstance(statement, Insert):
            columns = statement.compile(column_keys=sorted(self.given)).params
            if self.caller:
                for table in mine - OF_INSTALLATION:
                    if ({"account_id"} | {"mode"} & set(table.c.keys())) - columns.keys():
                        yield table.name
            yield from (table.name for table in mine - LISTED)
        elif not isinstance(statement, CompoundSelect):
            bound = self._bound(mine, list(_conditions(statement)), outer_bound)
            yield from (_table(each).name for each in mine - bound)
        for each, correlated in inner:
            yield from self.walk(each, *((named, bound) if correlated else (frozenset(), frozenset())))

    def _bound(self, mine: _Named, conditions: list[Visitable], known: _Named) -> _Named:
        """A table may be bound by another that is: look until there are no more."""
        found = known
        while True:
            more = {each for each in mine - found if self._is_bound(each, conditions, found)}
            if not more:
                return found
            found |= more

    def _is_bound(self, each: Any, conditions: list[Visitable], known: _Named) -> bool:
        table = _table(each)

        def compared(columns: Collection[str], allowed: Callable[[Visitable], bool]) -> bool:
            def leaf(condition: Visitable) -> bool:
                return any(
                    isinstance(one, Column) and one.table is each and one.name in columns and allowed(other)
                    for one, other in _sides(condition)
                )

            return any(_holds(condition, leaf) for condition in conditions)

        def of_known(other: Visitable) -> bool:
            return isinstance(other, ColumnClause) and other.table in known

        def is_id(other: Visitable) -> bool:
            """Given, or of another statement, which is checked by itself."""
            apart = isinstance(other, ColumnClause) and not _is_named(other.table)
            return _is_parameter(other) or isinstance(other, ScalarSelect) or apart or of_known(other)

        if table in OF_INSTALLATION:
            return True
        if not self.caller:
            by_tenant = compared({"account_id"}, _is_parameter) and compared({"mode"}, _is_parameter)
            return by_tenant or compared(IDS.get(table, ()), is_id)
        if table in OF_PARENT:
            return compared({OF_PARENT[table]}, of_known)
        account = compared({"account_id"}, lambda other: _is_parameter(other, ACCOUNT))
        in_mode = table in OF_ACCOUNT or compared({"mode"}, lambda other: _is_parameter(other, MODE))
        return table in LISTED and account and in_mode


_judged: dict[tuple[_Check, Any], frozenset[str]] = {}
"""By the form of a statement, which tells its tables, conditions and parameters' names, and no values."""


def _names(statement: Visitable) -> tuple[_Named, list[tuple[Visitable, bool]]]:
    """The tables and aliases that a statement names itself, and the statements in it.

    With each of these, whether it may mean a table of this one: a subquery or CTE to select from may not.
    """
    named, inner = set(), {}
    waiting = [(child, True) for child in statement.get_children()]
    seen: set[int] = set()
    while waiting:
        each, correlated = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, _STATEMENTS):
            inner[id(each)] = (each, correlated)
        elif _is_named(each):
            named.add(each)
        elif isinstance(each, ColumnClause):
            waiting += [(each.table, correlated)] if each.table is not None else []
        else:
            apart = isinstance(each, (CTE, Subquery))
            waiting += [(child, correlated and not apart) for child in each.get_children()]
    if isinstance(statement, (Update, Delete, Insert)):
        named.add(statement.table)
    return frozenset(each for each in named if each.name != "excluded"), list(inner.values())


def _conditions(statement: Any) -> Iterator[Visitable]:
    """What holds of every row: WHERE, and ON of inner joins."""
    yield from statement._where_criteria
    waiting = list(statement.get_final_froms()) if isinstance(statement, Select) else []
    while waiting:
        each = waiting.pop()
        if isinstance(each, Join):
            waiting += [each.left, each.right]
            if not (each.isouter or each.full):
                yield each.onclause


def _holds(condition: Visitable, leaf: Callable[[Visitable], bool]) -> bool:
    """Whether rows that fulfil `condition` fulfil the `leaf` in any case."""
    if isinstance(condition, Grouping):
        return _holds(condition.element, leaf)
    if isinstance(condition, BooleanClauseList):
        some = any if condition.operator is operators.and_ else all
        return some(_holds(clause, leaf) for clause in condition.clauses)
    return leaf(condition)


def _sides(condition: Visitable) -> list[tuple[ClauseElement, ClauseElement]]:
    if not isinstance(condition, BinaryExpression):
        return []
    if condition.operator is operators.eq:
        return [(condition.left, condition.right), (condition.right, condition.left)]
    return [(condition.left, condition.right)] if condition.operator is operators.in_op else []


def _is_parameter(other: Visitable, name: str | None = None) -> bool:
    return isinstance(other, BindParameter) and name in (None, other.key)


def _is_named(each: Any) -> bool:
    """Whether it is a table of the database, or an alias of one."""
    return isinstance(_table(each), Table)


def _table(each: Any) -> Any:
    return each.element if isinstance(each, Alias) else each
