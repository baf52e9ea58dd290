"""What the signed-in person may do with a collection (RFC 3744)."""

from __future__ import annotations

from calendarsync.providers.caldav.xml import Row, dav

PRIVILEGES = dav("current-user-privilege-set")
_WRITING = frozenset(dav(name) for name in ("all", "write", "write-content", "bind"))


def may_write(row: Row) -> bool | None:
    """Whether events may be written; None where the server names no privilege at all."""
    granted = row.children(PRIVILEGES)
    return not granted.isdisjoint(_WRITING) if granted else None
