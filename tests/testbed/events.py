"""iCalendar resources as people's programs write them."""

from __future__ import annotations

EMAILS = {"a": "alice@work.example", "b": "alice@home.example"}
"""The addresses of whoever keeps the calendars a and b of a desk."""

BERLIN = """BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19961027T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19960331T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE
"""


def vevent(
    uid: str,
    start: str = "20260304T090000",
    end: str | None = "20260304T100000",
    *,
    zone: str | None = "Europe/Berlin",
    title: str = "Planning",
    extra: str = "",
) -> str:
    """One VEVENT. Eight-digit times are dates; times that end in Z are in UTC."""

    def time(name: str, value: str) -> str:
        if len(value) == 8:
            return f"{name};VALUE=DATE:{value}\n"
        if value.endswith("Z") or zone is None:
            return f"{name}:{value}\n"
        return f"{name};TZID={zone}:{value}\n"

    return (
        f"BEGIN:VEVENT\nUID:{uid}\nDTSTAMP:20260101T000000Z\n"
        + time("DTSTART", start)
        + (time("DTEND", end) if end else "")
        + f"SUMMARY:{title}\n"
        + extra.strip("\n")
        + ("\n" if extra.strip("\n") else "")
        + "END:VEVENT\n"
    )


def vcalendar(*vevents: str) -> str:
    text = (
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Example Corp//Calendar 1.0//EN\n"
        + BERLIN
        + "".join(vevents)
        + "END:VCALENDAR\n"
    )
    return text.replace("\n", "\r\n")


def event(uid: str, *args: str, **given: str) -> str:
    """A resource that holds one event; the arguments are those of `vevent`."""
    return vcalendar(vevent(uid, *args, **given))  # type: ignore[arg-type]
