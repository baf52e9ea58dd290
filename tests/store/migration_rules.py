"""What a migration may not do while programs of the version before it still run (docs/decisions/migrations.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

CONTRACT = "contract"
"""A revision with `phase = "contract"` takes away what no program uses any more; all others only add."""

_TAKES_AWAY = {
    "drop_column": "drops a column",
    "drop_table": "drops a table",
    "rename_table": "renames a table",
    "drop_constraint": "drops a constraint",
}
_CHECKS_ALL_ROWS = {
    "create_check_constraint": "adds a check over all rows",
    "create_foreign_key": "adds a foreign key over all rows",
    "create_unique_constraint": "adds a uniqueness that the version before does not know",
    "create_primary_key": "adds a primary key to a table",
}
_ALTERS = {
    "nullable": "makes a column required",
    "type_": "changes a column's type",
    "new_column_name": "renames a column",
}


def violations(source: str) -> list[str]:
    """What is wrong with a migration's source; nothing where it may run beside the version before it."""
    tree = ast.parse(source)
    contracts = _phase(tree) == CONTRACT
    made = {name for name, _ in _calls(tree, "create_table")}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found += _in_call(node, node.func.attr, made, contracts=contracts)
    return found


def _in_call(node: ast.Call, operation: str, made: set[str], *, contracts: bool) -> Iterator[str]:
    given = {word.arg: word.value for word in node.keywords}
    if operation in _TAKES_AWAY and not contracts:
        yield _TAKES_AWAY[operation]
    elif operation in _CHECKS_ALL_ROWS and not contracts:
        yield _CHECKS_ALL_ROWS[operation]
    elif operation == "alter_column" and not contracts:
        for word, what in _ALTERS.items():
            if word in given and not (word == "nullable" and _is(given[word], value=True)):
                yield what
    elif operation == "add_column":
        yield from _in_column(node)
    elif operation == "create_index" and _text(node, 1) not in made:
        if not _is(given.get("postgresql_concurrently"), value=True):
            yield "builds an index on a table in use without postgresql_concurrently=True"
        if _is(given.get("unique"), value=True) and not contracts:
            yield "adds a uniqueness that the version before does not know"
    elif operation == "execute":
        yield "executes SQL of its own, which cannot be judged here; write it as an operation"


def _in_column(node: ast.Call) -> Iterator[str]:
    column = node.args[1] if len(node.args) > 1 else None
    if not isinstance(column, ast.Call):
        yield "adds a column that cannot be judged here; write sa.Column(…) in place"
        return
    given = {word.arg: word.value for word in column.keywords}
    if not _is(given.get("nullable"), value=True) and "server_default" not in given:
        yield "adds a required column without a default, which the version before does not fill"


def _phase(tree: ast.Module) -> str | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if names == ["phase"]:
                return str(node.value.value)
    return None


def _calls(tree: ast.Module, operation: str) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == operation
        ):
            yield _text(node, 0), node


def _text(node: ast.Call, position: int) -> str:
    if len(node.args) > position:
        value = node.args[position]
        if isinstance(value, ast.Constant):
            return str(value.value)
    return ""


def _is(node: ast.expr | None, *, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
