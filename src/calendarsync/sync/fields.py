"""What a link remembers of each field of its copy, so that a person's edit of one is known (rule 17). Pure.

Every field of every component is noted twice: as it was given, which tells whether the source has changed it since,
and as it was read back, which tells whether somebody has edited it: some providers rewrite what they are given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from calendarsync.domain.copy import CopyComponent
from calendarsync.domain.event import Component, Content, EventTime, Recurrence
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.times import moment_key
from calendarsync.domain.timezones import zone_info

TEXTS = ("title", "description", "location")
_UNTIL = re.compile(r"UNTIL=(\d{8}T\d{6}Z)")
_DIGITS = 12
"""Of a fingerprint, in hexadecimal. A chance of 2⁻⁴⁸ that an edit looks like none is small enough."""


@dataclass(frozen=True, slots=True)
class Known:
    """One component of a copy, in fingerprints.

    `given` and `shown` are by the names in `TEXTS`; `content` is of all texts as they are shown.
    """

    given_times: str
    given: Mapping[str, str]
    times: str
    shown: Mapping[str, str]
    content: str
    recurrence: str

    def dump(self) -> str:
        given, shown = ([texts[name] for name in TEXTS] for texts in (self.given, self.shown))
        return " ".join([self.given_times, *given, self.times, *shown, self.content, self.recurrence])

    @classmethod
    def load(cls, text: str) -> Known:
        """The inverse of `dump`. Raises ValueError."""
        given_times, title, description, location, times, *rest = text.split(" ")
        *shown, content, recurrence = rest
        given = (title, description, location)
        return cls(
            given_times,
            dict(zip(TEXTS, given, strict=True)),
            times,
            dict(zip(TEXTS, shown, strict=True)),
            content,
            recurrence,
        )


class Fields:
    """Makes the fingerprints of one copy. `floating` is the zone of the target's floating times.

    Those of texts depend on the `origin` of the link: whoever reads the database does not see which events, of
    whatever accounts, have a title in common.
    """

    def __init__(self, fingerprinter: Fingerprinter, floating: str, origin: str) -> None:
        self._fingerprinter = fingerprinter
        self._floating = floating
        self._origin = origin

    def key(self, recurrence_id: EventTime | None) -> str:
        """The name of a component in a link: its original start, whichever way it is written."""
        return "" if recurrence_id is None else moment_key(recurrence_id, self._floating)

    def noted(
        self,
        written: Sequence[CopyComponent],
        components: Sequence[Component],
        contents: Mapping[str, Content],
    ) -> dict[str, str]:
        """What is to be remembered of a copy that was written so, its master first, and reads so."""
        parts = {self.key(part.recurrence_id): part for part in written}
        return {
            self.key(each.recurrence_id): self._known(each, contents, parts).dump() for each in components
        }

    def _known(
        self, component: Component, contents: Mapping[str, Content], written: Mapping[str, CopyComponent]
    ) -> Known:
        content = contents.get(component.original, Content())
        part = written.get(self.key(component.recurrence_id), written[""])
        return Known(
            self.times(part),
            self.texts(part.title, part.description, part.location),
            self.times(component),
            self.texts_of(content),
            self.cut(self._fingerprinter.of_content(content)),
            self.recurrence(component),
        )

    def times(self, when: Component | CopyComponent) -> str:
        return self._of("times", str(when.start), str(when.end), str(when.duration))

    def texts_of(self, content: Content) -> dict[str, str]:
        return self.texts(content.title, content.description, content.location)

    def texts(self, title: str, description: str, location: str) -> dict[str, str]:
        given = zip(TEXTS, (title, description, location), strict=True)
        return {name: self._of("text", self._origin, name, text) for name, text in given}

    def recurrence(self, component: Component) -> str:
        """Of the days on which it recurs: the UNTIL of a rule moves with the time of day."""
        recurrence = component.recurrence or Recurrence()
        zone = zone_info(component.start.zone or self._floating)
        rules = [_UNTIL.sub(lambda found: _day_of(found, zone), rule) for rule in recurrence.rrules]
        return self._of("recurrence", repr(rules), repr(replace(recurrence, rrules=())))

    @staticmethod
    def cut(fingerprint: str) -> str:
        return fingerprint[:_DIGITS]

    def _of(self, *parts: str) -> str:
        return self.cut(self._fingerprinter.of(*parts))


def _day_of(until: re.Match[str], zone: ZoneInfo) -> str:
    try:
        moment = datetime.strptime(until[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return f"UNTIL={moment.astimezone(zone):%Y%m%d}"
    except (ValueError, OverflowError):
        return until[0]


def remembered(noted: Mapping[str, str] | None) -> dict[str, Known]:
    """What a link remembers, by component; nothing where it was written by a version that did not note it."""
    try:
        return {key: Known.load(text) for key, text in (noted or {}).items()}
    except ValueError:
        return {}
