"""What serves a caller opens its transactions as the caller's tenant (store/postgresql_tenancy.py)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import calendarsync

PACKAGE = Path(calendarsync.__path__[0])
_PEOPLE = "people are no account's: they may be members of several"
FOR_THE_ENGINE = {
    "api.v1.availability._own_events": "the index is the engine's alone; the connection was found as the tenant's",
    "api.v1.account._members": _PEOPLE,
    "api.consent.links._find": "only the link tells whose it is",
    "api.consent.answers._find": "only the state tells whose it is",
    "api.consent.picking._enter": "the authorization tells whose it is, the browser's cookie that it may",
    "api.v1.removal._abandon": "pairs of other accounts on the same calendars are locked and made due",
    "accounts.limits._admit": "only the key tells whose it is",
    "accounts.limits.fail": "nobody's key",
    "accounts.accounts.create_account": "a command: the account is not there yet",
    "accounts.accounts.ensure_first_account": "the account is not there yet",
    "accounts.accounts.has_accounts": "it asks for accounts, whoever's",
    "accounts.accounts.set_plan": "a command: an account does not give itself a plan",
    "accounts.accounts.find_account_id": "a command, which names the account by its address",
    "accounts.keys.locate_key": "a command, which names a key by its id alone",
    "accounts.people.accounts_of": _PEOPLE,
    "accounts.people.add_member": _PEOPLE,
    "accounts.people.change_role": _PEOPLE,
    "accounts.people.list_members": _PEOPLE,
    "accounts.people.remove_member": _PEOPLE,
    "accounts.people.set_password": _PEOPLE,
    "accounts.sessions.sign_in": _PEOPLE,
    "accounts.sessions._count": "what is counted is nobody's",
    "accounts.sessions.find_session": "only the token tells whose it is",
    "accounts.sessions.sign_out": "only the token tells whose it is",
    "accounts.sessions.sign_out_everywhere": _PEOPLE,
    "accounts.installation.open_installation": "the installation is nobody's",
}
"""All of `api` and `accounts` that opens a transaction as the engine, and why."""


def at_large(source: str) -> Iterator[str]:
    """The functions that open a transaction as the engine; `<module>` where it is outside of any."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"read", "write"} and _is_database(node.value):
            around = [each for each in functions if each.lineno <= node.lineno <= (each.end_lineno or 0)]
            yield around[-1].name if around else "<module>"


def _is_database(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name.lstrip("_") in {"db", "database"}


def test_only_what_has_a_reason_is_the_engines() -> None:
    found = set()
    for folder in ("api", "accounts"):
        for path in (PACKAGE / folder).rglob("*.py"):
            module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            found |= {f"{module}.{name}" for name in at_large(path.read_text("utf-8"))}
    assert found == FOR_THE_ENGINE.keys()


@pytest.mark.parametrize(
    "line",
    [
        "async with services.db.read() as connection: pass",
        "async with services.db.write() as connection: pass",
        "async with self._db.read() as connection: pass",
        "async with database.write() as connection: pass",
        "open_one = services.db.read",
    ],
)
def test_a_transaction_of_the_engine_is_found(line: str) -> None:
    assert list(at_large(f"async def serve():\n    {line}\n")) == ["serve"]
    assert list(at_large("async def serve():\n    async with db.read_as(caller.tenant): pass\n")) == []
