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
from tests.testbed.google import Model as GoogleModel
from tests.testbed.google_keeper import GoogleKeeper
from tests.testbed.installation import Installation
from tests.testbed.microsoft import Model as MicrosoftModel
from tests.testbed.microsoft_keeper import MicrosoftKeeper
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


FILTERS = {"title_contains": ["IXTITL", "fxfilter"], "title_excludes": ["exdescriptio"]}
"""Words of filters are the owner's settings, and stand in the pair alone: these are parts of canaries, but one."""

OTHER_FILTERS = {"categories": ["axcategor", "fxfilter"], "title_excludes": ["xtitl"]}


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
        pair = await at.pair(sync_mode=sync_mode, attendees_in_description=sync_mode == "full", **FILTERS)
        await at.app.run(pair)
        at.put_a("one", event("one", "20260305T090000", "20260305T100000", title="tixtitle", extra=RICH))
        await at.app.run(pair)
        assert len(at.copies_b()) == 3
        assert found_words("\n".join(at.copies_b()).encode()) or sync_mode == "blocker", (
            "the copies were written"
        )
        at.app.clock.advance(days=1)
        await at.app.change_pair(pair, options=OTHER_FILTERS)
        assert (await at.app.run(pair)).events_deleted == 3
        dump = await _dump(at.app)
        assert b"CREATE TABLE event_index" in dump
        assert found_words(dump) == []
        mentioned = [line for line in dump.splitlines() if b"fxfilter" in line]
        assert [line.split(b"(")[0] for line in mentioned] == [b'INSERT INTO "pairs" VALUES']
        assert found_words(files(folder)) == []
    assert found_words(files(folder)) == []
    logged = logs.readouterr()
    assert found_words((logged.out + logged.err).encode()) == []
    assert "fxfilter" not in logged.out + logged.err


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(100) + b"TixTitle" + os.urandom(100))
    assert found_words(files(tmp_path)) == ["tixtitle"]


def _at_google(model: GoogleModel, calendar: str) -> None:
    """An invitation with all that Google keeps of one, as a single event and as a series with an exception."""
    people = [
        {"email": "axattendee@example.com", "displayName": "axattendee", "comment": "coxcomment"},
        {"email": calendar, "responseStatus": "accepted"},
    ]
    rich = {
        "summary": "tixtitle",
        "description": "dexdescription",
        "location": "loxlocation",
        "organizer": {"email": "oxorganizer@example.com", "displayName": "oxorganizer"},
        "attendees": people,
        "attachments": [{"fileUrl": "https://exattach.example/", "title": "exattach"}],
        "source": {"url": "https://uxurl.example/", "title": "uxurl"},
        "extendedProperties": {"private": {"xprop": "xprop"}, "shared": {"nxname": "nxname"}},
        "start": {"dateTime": "2026-03-04T09:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-04T10:00:00+01:00", "timeZone": "Europe/Berlin"},
    }
    model.put(calendar, rich)
    series = model.put(calendar, {**rich, "recurrence": ["RRULE:FREQ=WEEKLY"]})
    model.put(calendar, {"summary": "tixtitle again"}, f"{series['id']}_20260311T080000Z")


def _at_microsoft(model: MicrosoftModel, calendar: str) -> None:
    """The like in Outlook."""
    carol = {"emailAddress": {"address": "axattendee@example.com", "name": "axattendee"}, "type": "required"}
    rich = {
        "subject": "tixtitle",
        "body": {"contentType": "text", "content": "dexdescription"},
        "location": {"displayName": "loxlocation"},
        "categories": ["caxcategory"],
        "attendees": [carol],
        "start": {"dateTime": "2026-03-04T09:00:00", "timeZone": "W. Europe Standard Time"},
        "end": {"dateTime": "2026-03-04T10:00:00", "timeZone": "W. Europe Standard Time"},
    }
    weekly = {
        "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["wednesday"], "firstDayOfWeek": "monday"},
        "range": {"type": "noEnd", "startDate": "2026-03-04"},
    }
    organizer = {"emailAddress": {"address": "oxorganizer@example.com", "name": "oxorganizer"}}
    model.place(calendar, rich, isOrganizer=False, organizer=organizer)
    model.place(calendar, {**rich, "recurrence": weekly})
    model.place(calendar, rich, originalStartTimeZone="txtzid")


@pytest.mark.parametrize("sync_mode", ["blocker", "full"])
@pytest.mark.parametrize("there", ["google", "microsoft"])
async def test_nor_of_events_at_google_and_microsoft(
    google_model: GoogleModel,
    microsoft_model: MicrosoftModel,
    tmp_path: Path,
    logs: pytest.CaptureFixture[str],
    sync_mode: str,
    there: str,
) -> None:
    folder = tmp_path / "installation"
    google, microsoft = GoogleKeeper(google_model), MicrosoftKeeper(microsoft_model)
    keepers = (google, microsoft) if there == "microsoft" else (microsoft, google)
    async with desk(keepers[0], folder, keepers[1], secret=b"c" * 32) as at:
        google_calendar, microsoft_calendar = (at.a, at.b) if there == "microsoft" else (at.b, at.a)
        pair = await at.pair(sync_mode=sync_mode, attendees_in_description=sync_mode == "full", **FILTERS)
        _at_google(google_model, google_calendar)
        _at_microsoft(microsoft_model, microsoft_calendar)
        google_model.fail(400, method="events.insert")
        await at.app.run(pair)
        at.app.clock.advance(days=2)
        await at.app.run(pair)
        assert found_words("\n".join(at.copies_b()).encode()) or sync_mode == "blocker", (
            "the copies were written"
        )
        assert at.copies_a()
        await at.app.change_pair(pair, options=OTHER_FILTERS)
        assert (await at.app.run(pair)).events_deleted
        assert found_words(await _dump(at.app)) == []
        assert found_words(files(folder)) == []
    assert found_words(files(folder)) == []
    logged = logs.readouterr()
    assert found_words((logged.out + logged.err).encode()) == []


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


@pytest.mark.rule(17)
@pytest.mark.parametrize("refused", [False, True], ids=["carried", "refused"])
async def test_nor_of_edits_of_copies_that_are_carried_back(
    google_model: GoogleModel,
    radicale: RadicaleServer,
    tmp_path: Path,
    logs: pytest.CaptureFixture[str],
    refused: bool,
) -> None:
    folder = tmp_path / "installation"
    async with desk(GoogleKeeper(google_model), folder, radicale, secret=b"c" * 32) as at:
        at.put_a("one", event("one", title="tixtitle"))
        pair = await at.pair(sync_mode="full", direction="a_to_b", on_copy_edited="propagate")
        await at.app.sync(pair)
        ((name, text),) = at.copies(at.b).items()
        edited = text.replace(
            "SUMMARY:tixtitle", "LOCATION:loxlocation\nDESCRIPTION:dexdescription\nSUMMARY:nxname"
        )
        at.put(at.b, name, edited)
        if refused:
            google_model.fail(400, method="events.patch")
        await at.app.run(pair)
        assert ("loxlocation" in "".join(at.read(at.a).values())) is not refused
        assert found_words(await _dump(at.app)) == []
        assert found_words(files(folder)) == []
    logged = logs.readouterr()
    assert found_words((logged.out + logged.err).encode()) == []
