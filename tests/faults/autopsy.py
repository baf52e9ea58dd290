"""What the database knows of a copy that should not be there, or of one that is missing."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.town import Bond, Calendar
from tests.faults.witness import Witness

_LINKS = "SELECT * FROM links WHERE pair_id = $1 AND (copy_id = ANY($2) OR source_resource = ANY($2))"
_INDEX = (
    "SELECT e.* FROM event_index e JOIN pairs p ON e.connection_id IN (p.connection_a_id, p.connection_b_id) "
    "WHERE p.id = $1 AND (e.uid = ANY($2) OR e.resource_id = ANY($2))"
)
_OPERATIONS = (
    "SELECT r.created_at, r.duration_ms, r.trigger, o.direction, o.event_id, o.action, o.reason, o.copy_id "
    "FROM operations o JOIN runs r ON r.id = o.run_id WHERE r.pair_id = $1 "
    "AND (o.copy_id = ANY($2) OR o.event_id = ANY($2)) ORDER BY 1"
)
_RUNS = (
    "SELECT r.created_at, duration_ms, r.status, generation, error_code FROM runs r LEFT JOIN witness.logged l "
    "USING (sync_id) WHERE r.pair_id = $1 ORDER BY 1"
)
_CLAIMS = "SELECT at, what, generation, who FROM witness.claims WHERE pair_id = $1 ORDER BY at"
_WRITERS = "SELECT at, generation, who FROM witness.writers WHERE pair_id = $1 ORDER BY at"
_CONNECTIONS = (
    "SELECT c.id, calendar_id, cursor, index_version FROM connections c JOIN pairs p "
    "ON c.id IN (p.connection_a_id, p.connection_b_id) WHERE p.id = $1"
)


async def autopsy(witness: Witness, bond: Bond, calendar: Calendar, starts: Sequence[str]) -> list[str]:
    """Everything about the events of a calendar that begin then, and about the pair."""
    names: list[str] = []
    told = [f"-- {bond.direction} {bond.a.url} {bond.b.url}"]
    for path in calendar.folder.glob("*.ics"):
        text = path.read_text("utf-8")
        if any(start in text for start in starts):
            names += [path.name, path.stem]
            told.append(f"{path.name}, written {path.stat().st_mtime:.2f}: {text}")
    for source in bond.sources:
        names += [name for name, start in source.book.items() if start in starts]
    for query in (_LINKS, _INDEX, _OPERATIONS):
        told += [str(dict(row)) for row in await witness.ask(query, bond.pair_id, names)]
    for query in (_RUNS, _CLAIMS, _WRITERS, _CONNECTIONS):
        told += [" ".join(map(str, row.values())) for row in await witness.ask(query, bond.pair_id)]
    return told
