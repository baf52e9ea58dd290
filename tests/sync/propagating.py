"""What tests of edits that travel back have in common (rule 17)."""

from __future__ import annotations

from typing import Any

from tests.sync.helpers import done, only, sync_anew
from tests.testbed.memory_desk import MemoryDesk

CARRIED = [("propagate", "copy_edited"), ("update", "source_changed")]
WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=4"
EXTRA = """X-UNKNOWN;X-P="a;b":kept
LOCATION:Room 1
DESCRIPTION:A long text that is folded where a line has seventy-five octets\\, or
  more\\, as it has to be
CATEGORIES:One,Two
ATTACH:https://files.example/1
BEGIN:VALARM
ACTION:DISPLAY
SUMMARY:Planning
DESCRIPTION:Room 1
TRIGGER:-PT15M
END:VALARM"""


async def paired(at: MemoryDesk, *sources: str, a: str = "a", b: str = "b", **given: Any) -> str:
    for number, source in enumerate(sources):
        at.store(a).put(f"{number}.ics", source)
    options = {"sync_mode": "full", "direction": "a_to_b", "on_copy_edited": "propagate", **given}
    pair = await at.pair(a, b, **options)
    await at.app.sync(pair)
    return pair


def edit(at: MemoryDesk, *changes: tuple[str, str], name: str = "b") -> None:
    """Somebody changes the one event of a calendar with a program that writes it anew."""
    resource, data = only(at, name)
    text = data.decode().replace("\r\n ", "")
    for old, new in changes:
        assert old in text, text
        text = text.replace(old, new)
    at.store(name).put(resource, text)


def source(at: MemoryDesk) -> str:
    return only(at, "a")[1].decode()


async def assert_at_rest(at: MemoryDesk, *pairs: str) -> None:
    before = {name: dict(store.resources) for name, store in at.stores.items()}
    for pair in pairs:
        assert done(await sync_anew(at, pair)) == []
    assert {name: dict(store.resources) for name, store in at.stores.items()} == before
