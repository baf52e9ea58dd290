"""What calendar programs write that RFC 5545 does not know, each with its reason."""

from __future__ import annotations

import re

from calendarsync.providers.icalendar.lines import Node

_DATE_TIME = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[Tt ]?(\d\d):?(\d\d)(?::?(\d\d))?(?:\.\d+)?([Zz]?))?")


def busy_status(event: Node) -> str:
    """Microsoft's own busy status in upper case; empty where it is not given.

    [MS-OXCICAL] 2.1.3.1.1.20.31: Outlook and Exchange keep what TRANSP cannot say (tentative, out of office,
    working elsewhere) in this property, and in INTENDEDSTATUS what an attendee's copy is to show once accepted.
    """
    return (
        event.value("X-MICROSOFT-CDO-BUSYSTATUS") or event.value("X-MICROSOFT-CDO-INTENDEDSTATUS")
    ).upper()


def date_time_numbers(value: str) -> tuple[list[int], bool] | None:
    """Year to second of a date or time, and whether it is UTC; three numbers for a date, None for neither.

    Hand-made feeds leave seconds out, or use ISO 8601's extended form.
    """
    match = _DATE_TIME.fullmatch(value.strip())
    if match is None:
        return None
    numbers = [int(number) for number in match.groups()[:6] if number is not None]
    if len(numbers) == 5:
        numbers.append(0)
    return numbers, bool(match[7])


def rule_text(value: str) -> str:
    """An RRULE value in upper case, without what several exporters leave in it.

    Spaces, empty parts and a trailing semicolon; the property's name once more (a rule that was pasted whole);
    `COUNT=-1` for a series that is not counted (Confluence's team calendars).
    """
    text = "".join(value.split()).upper()
    text = text.removeprefix("RRULE:").removeprefix("EXRULE:")
    parts = [part for part in text.split(";") if part and not part.endswith("=")]
    return ";".join(part for part in parts if part != "COUNT=-1")


def is_listed(value: str) -> bool:
    """Whether a value of EXDATE or RDATE is one: some write the property with an empty value."""
    return bool(value.strip())


def mail_address(value: str, email: str | None) -> str:
    """The address of an ATTENDEE or ORGANIZER in lower case.

    RFC 7986 section 6.2: EMAIL holds it where the value is an opaque URI (iCloud's principal URLs). Exchange
    writes `MAILTO:`, and some programs no scheme at all.
    """
    address = value.strip().casefold()
    if address.startswith("mailto:"):
        return address.removeprefix("mailto:").strip()
    if email:
        return email.strip().casefold().removeprefix("mailto:")
    return address
