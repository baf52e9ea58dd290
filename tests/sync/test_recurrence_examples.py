"""The worked examples of RFC 5545 section 3.8.5.3, copied to every kind of calendar (rules 12 and 14)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import Component
from calendarsync.domain.fingerprint import Fingerprinter
from calendarsync.domain.holding import Holder
from calendarsync.domain.recurrence import Instance, expand
from calendarsync.domain.rules import Rules, SyncMode, Window
from calendarsync.sync.shape import Scene, Wanted
from calendarsync.sync.wanted import decide
from tests.domain.test_rfc5545_examples import NEW_YORK, RULES, Example

SINGLY = {
    Holder.ICALENDAR: ("FREQ=HOURLY", "FREQ=MINUTELY"),
    Holder.GOOGLE: ("FREQ=HOURLY", "FREQ=MINUTELY"),
}
"""What these are not trusted with; Outlook has six patterns, and needs no list here."""


def _components(wanted: Wanted) -> list[Component]:
    return [
        Component(
            "uid",
            part.skeleton.start,
            part.skeleton.end,
            part.skeleton.duration,
            recurrence_id=part.skeleton.recurrence_id,
            recurrence=part.skeleton.recurrence,
        )
        for part in wanted.parts
    ]


def _busy(instances: Iterable[Instance]) -> list[tuple[str, str]]:
    return sorted((str(each.start), str(each.end)) for each in instances)


@pytest.mark.rule(12)
@pytest.mark.rule(14)
@pytest.mark.parametrize("holder", list(Holder))
@pytest.mark.parametrize(("example", "rule"), RULES)
def test_an_example_of_the_rfc_is_copied(example: Example, rule: str, holder: Holder) -> None:
    components = example.components(rule)
    begin = datetime.fromisoformat(example.start).replace(tzinfo=UTC)
    days = 3 if "MINUTE" in rule else 800
    window = Window(begin - timedelta(days=1), begin + timedelta(days=days))
    scene = Scene("a", Rules(SyncMode.BLOCKER), window, NEW_YORK, Fingerprinter(b"k" * 32), holder=holder)
    wanted = decide(Entry("s", "1", "uid", tuple(components), {}, {}), scene).wanted
    copied = [
        each for one in wanted for each in expand(_components(one), window.first, window.last, NEW_YORK)
    ]
    assert _busy(copied) == _busy(expand(components, window.first, window.last, NEW_YORK))
    if holder in SINGLY:
        one_series = len(wanted) == 1 and wanted[0].parts[0].skeleton.recurrence is not None
        # A start that its rule does not give, though it is left out, is none that readers agree about.
        assert one_series is not (rule.startswith(SINGLY[holder]) or bool(example.exdates))
