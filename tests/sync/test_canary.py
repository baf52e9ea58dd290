"""What the product promises: when you are busy is held, why is not. Canary words are found nowhere."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from calendarsync.observability import configure_logging
from tests.testbed.desk import desk
from tests.testbed.events import event, vcalendar, vevent
from tests.testbed.installation import Installation
from tests.testbed.radicale import RadicaleServer
from tests.testbed.stored import files, stored

CANARIES = (
    *("tixtitle", "dexdescription", "loxlocation", "caxcategory", "coxcomment", "axattendee", "oxorganizer"),
    *("uxurl", "exattach", "kxcontact", "xprop", "rxresource", "vxalarm", "txtzid", "nxname", "gxgeo"),
)
RICH = """DESCRIPTION:dexdescription
LOCATION;ALTREP="https://loxlocation.example":loxlocation
CATEGORIES:caxcategory
COMMENT:coxcomment
ORGANIZER;CN=oxorganizer:mailto:oxorganizer@example.com
ATTENDEE;CN=axattendee;PARTSTAT=ACCEPTED:mailto:axattendee@example.com
URL:https://uxurl.example/
ATTACH:https://exattach.example/
CONTACT:kxcontact
RESOURCES:rxresource
X-SECRET;X-PARAM=nxname:xprop
X-APPLE-STRUCTURED-LOCATION;X-TITLE=gxgeo:geo:1,2
BEGIN:VALARM
ACTION:DISPLAY
DESCRIPTION:vxalarm
TRIGGER:-PT15M
END:VALARM"""
ZONE = (
    "BEGIN:VTIMEZONE\r\nTZID:txtzid\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n"
    "TZOFFSETFROM:+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
)


def found_words(haystack: bytes) -> list[str]:
    lowered = haystack.lower()
    return [word for word in CANARIES if word.encode() in lowered]


async def _dump(app: Installation) -> bytes:
    async with app.db.read() as db:
        raw = await db.get_raw_connection()
        driver = raw.driver_connection
        assert driver is not None
        return "\n".join([line async for line in driver.iterdump()]).encode()


@pytest.fixture
def logs(capfd: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Logging as `serve` sets it up, and what it was before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging()
    yield capfd
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize("sync_mode", ["blocker", "full"])
async def test_canary_words_are_found_nowhere(
    radicale: RadicaleServer, tmp_path: Path, logs: pytest.CaptureFixture[str], sync_mode: str
) -> None:
    folder = tmp_path / "installation"
    async with desk(radicale, folder, secret=b"c" * 32) as at:
        series = vcalendar(
            vevent("series", title="tixtitle", extra=f"{RICH}\nRRULE:FREQ=WEEKLY"),
            vevent(
                "series",
                "20260311T100000",
                "20260311T110000",
                title="tixtitle",
                extra=f"RECURRENCE-ID;TZID=Europe/Berlin:20260311T090000\n{RICH}",
            ),
        )
        at.put_a("one", event("one", title="tixtitle", extra=RICH))
        at.put_a("series", series)
        own_zone = event("zoned", zone="txtzid", title="tixtitle", extra=RICH)
        at.put_a("zoned", own_zone.replace("BEGIN:VEVENT", ZONE + "BEGIN:VEVENT", 1))
        at.put_b("broken", event("broken", title="tixtitle", extra=RICH, zone="txtzid-unknown"))
        pair = await at.pair(sync_mode=sync_mode, attendees_in_description=sync_mode == "full")
        await at.app.run(pair)
        at.put_a("one", event("one", "20260305T090000", "20260305T100000", title="tixtitle", extra=RICH))
        await at.app.run(pair)
        assert found_words("\n".join(at.copies_b()).encode()) or sync_mode == "blocker", (
            "the copies were written"
        )
        dump = await _dump(at.app)
        assert b"CREATE TABLE event_index" in dump
        assert found_words(dump) == []
        assert found_words(files(folder)) == []
    assert found_words(files(folder)) == []
    logged = logs.readouterr()
    assert found_words((logged.out + logged.err).encode()) == []


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(100) + b"TixTitle" + os.urandom(100))
    assert found_words(files(tmp_path)) == ["tixtitle"]


async def test_nor_in_postgresql(radicale: RadicaleServer, postgresql_database: str) -> None:
    async with desk(radicale, postgresql_database, secret=b"c" * 32) as at:
        at.put_a("one", event("one", title="tixtitle", extra=RICH))
        at.put_b("broken", event("broken", title="tixtitle", extra=RICH, zone="txtzid-unknown"))
        pair = await at.pair(sync_mode="full", attendees_in_description=True)
        report = await at.app.run(pair)
        assert (report.events_created, report.status) == (1, "partial")
        kept = await stored(at.app.db, postgresql_database)
        assert pair.encode() in kept
        assert found_words(kept) == []
