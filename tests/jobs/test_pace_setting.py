"""Rule 27: the pace that an installation asks for is the one that its worker goes by."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from calendarsync.jobs.process import running
from calendarsync.settings import Settings
from calendarsync.store.schedule import PairRecord


def pair_of(synced_at: datetime) -> PairRecord:
    names = {each.name for each in fields(PairRecord)}
    return PairRecord(**dict.fromkeys(names, "") | {"last_synced_at": synced_at})


@pytest.mark.rule(27)
@pytest.mark.parametrize(("slowest", "longest"), [(60, 60), (120, 120), (3600, 360)])
async def test_the_slowest_pace_is_the_settings(tmp_path: Path, slowest: int, longest: int) -> None:
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'calendarsync.sqlite3'}",
        secret_key=SecretStr("a secret of more than 32 characters"),
        poll_interval_seconds=60,
        slowest_poll_seconds=slowest,
    )
    async with running(settings, schedule=False) as process:
        assert process.worker is not None
        now = process.db.now()
        told_until = now + timedelta(days=7)
        due_at = process.worker._engine._reader.next_due(pair_of(now), now - timedelta(days=400), told_until)
    assert timedelta(seconds=longest - 7) < due_at - now < timedelta(seconds=longest + 7)
