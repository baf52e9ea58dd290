"""How claims travel in a wake-up, from the worker that made them to the one that carries them out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from calendarsync.store.claims import Claim


def to_json(claims: Iterable[Claim], until: datetime) -> bytes:
    rows = [
        [claim.pair_id, claim.generation, claim.due_at and claim.due_at.isoformat(), claim.due]
        for claim in claims
    ]
    return json.dumps([until.isoformat(), rows]).encode()


def from_json(payload: bytes) -> tuple[list[Claim], datetime]:
    until, rows = json.loads(payload)
    claims = [
        Claim(pair_id, generation, due_at and datetime.fromisoformat(due_at), due)
        for pair_id, generation, due_at, due in rows
    ]
    return claims, datetime.fromisoformat(until)
