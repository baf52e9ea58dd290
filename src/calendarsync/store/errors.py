"""What keeps a database from being used, in words that hold neither its address nor a password.

DatabaseUnavailable
SchemaError
    SchemaOutdated
    MigrationBlocked
"""

from __future__ import annotations


class DatabaseUnavailable(Exception):  # noqa: N818 - it says what happened
    """The server cannot be reached, refuses us or has gone away; the same may succeed a little later.

    Raised by a COMMIT, it says nothing of whether the transaction was committed.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database cannot be used: {reason}")


class SchemaError(Exception):
    """The database is not as this program needs it."""


class SchemaOutdated(SchemaError):  # noqa: N818 - it says what happened
    """The database has no schema yet, or an older one than this program works on."""

    def __init__(self) -> None:
        super().__init__("the database's schema is older than this program; run: calendarsync migrate")


class MigrationBlocked(SchemaError):  # noqa: N818 - it says what happened
    """A lock that the migration needs was not to be had. The revision that waited for it is undone."""

    def __init__(self) -> None:
        super().__init__(
            "another session, such as a long query or a backup, keeps the schema from being changed; "
            "run calendarsync migrate again when it has ended"
        )
