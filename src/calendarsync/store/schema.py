"""The schema's revisions: which one a database is at, and how it gets to the newest."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent / "migrations"


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision, inside the caller's transaction if there is one.

    Without one, each revision is a transaction of its own.
    """
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def is_current(connection: Connection) -> bool:
    """Whether the schema is at the newest revision that this program knows, or at one that it does not know.

    The latter is newer: a migration only adds to the schema while its predecessor may still run.
    """
    from alembic.runtime.migration import MigrationContext

    known = revisions()
    at = MigrationContext.configure(connection).get_current_revision()
    return at == known[0] or (at is not None and at not in known)


@cache
def revisions() -> tuple[str, ...]:
    """The newest first."""
    from alembic.script import ScriptDirectory

    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    # Alembic reads its settings through configparser, for which a percent sign is special.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
