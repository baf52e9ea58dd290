"""Every migration after the first may run beside the version before it; and the check of that bites."""

from __future__ import annotations

import re

import pytest

from calendarsync.store.schema import FOLDER
from tests.store.migration_rules import violations

MODULES = sorted((FOLDER / "versions").glob("v*.py"))


def test_no_migration_breaks_the_version_before_it() -> None:
    assert MODULES
    assert re.fullmatch(r"v0001_\w+", MODULES[0].stem)
    found = {module.name: violations(module.read_text("utf-8")) for module in MODULES[1:]}
    assert not {name: wrong for name, wrong in found.items() if wrong}


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ('op.drop_column("pairs", "removal")', "drops a column"),
        ('op.drop_table("pairs")', "drops a table"),
        ('op.rename_table("pairs", "couples")', "renames a table"),
        ('op.alter_column("pairs", "mode", new_column_name="kind")', "renames a column"),
        ('op.alter_column("pairs", "mode", type_=sa.Text())', "changes a column's type"),
        ('op.alter_column("pairs", "mode", nullable=False)', "makes a column required"),
        (
            'with op.batch_alter_table("pairs") as batch:\n        batch.drop_column("removal")',
            "drops a column",
        ),
        ('op.add_column("pairs", sa.Column("x", sa.Integer(), nullable=False))', "required column without"),
        ('op.add_column("pairs", sa.Column("x", sa.Integer()))', "required column without"),
        ('op.add_column("pairs", column)', "cannot be judged"),
        ('op.create_index("ix", "pairs", ["mode"])', "without postgresql_concurrently"),
        ('op.create_index("ix", "pairs", ["mode"], postgresql_concurrently=True, unique=True)', "uniqueness"),
        ('op.create_unique_constraint("uq", "pairs", ["mode"])', "uniqueness"),
        ('op.create_foreign_key("fk", "pairs", "runs", ["a"], ["b"])', "foreign key over all rows"),
        ('op.create_check_constraint("ck", "pairs", "a > 0")', "check over all rows"),
        ('op.execute("DROP TABLE pairs")', "SQL of its own"),
    ],
)
def test_what_breaks_the_version_before(step: str, what: str) -> None:
    (found,) = violations(f"def upgrade():\n    {step}\n")
    assert what in found


@pytest.mark.parametrize(
    "step",
    [
        'op.add_column("pairs", sa.Column("x", sa.Integer(), nullable=True))',
        'op.add_column("pairs", sa.Column("x", sa.Integer(), nullable=False, server_default="0"))',
        'op.alter_column("pairs", "mode", nullable=True)',
        'op.create_table("new", sa.Column("id", sa.Integer()))\n'
        '    op.create_index("ix", "new", ["id"], unique=True)',
        "with op.get_context().autocommit_block():\n"
        '        op.create_index("ix", "pairs", ["mode"], postgresql_concurrently=True)',
    ],
)
def test_what_only_adds(step: str) -> None:
    assert violations(f"def upgrade():\n    {step}\n") == []


def test_a_contract_may_take_away() -> None:
    step = 'def upgrade():\n    op.drop_column("pairs", "removal")\n'
    assert violations(f'phase = "contract"\n{step}') == []
    assert violations(f'phase = "expand"\n{step}') == ["drops a column"]
