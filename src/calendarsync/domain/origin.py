"""Who a copy stands for: origins, derived ids and marks (SEMANTICS rules 1 to 5).

A mark is one line of text in the provider's own field:

    1;<origin>;<generation>;<fingerprint>;<check>

`origin` is an unkeyed digest over source calendar and event, `fingerprint` the keyed fingerprint that the copy
was written from, and `check` an HMAC over all of that, the target calendar and the copy's own id.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

UNFINISHED = "0" * 32
"""Stands for the fingerprint in the mark of a copy that is not whole yet."""

_VERSION = "1"
_DERIVED = re.compile(r"cs[0-9a-v]{32}")
_MARK = re.compile(r"1;[0-9a-f]{40};[0-9]{1,9};[0-9a-f]{32,64};[0-9a-f]{32}")
_GLOBAL_OBJECT_ID = "040000008200e00074c5b7101a82e008"
_VCAL_UID_MARKER = b"vCal-Uid\x01\x00\x00\x00".hex()


class MarkKind(StrEnum):
    OWN = "own"
    """The check verifies: ours, here, on this very event."""
    FOREIGN = "foreign"
    """Mark and id agree, the check does not verify: another installation's copy."""


@dataclass(frozen=True, slots=True)
class Mark:
    kind: MarkKind
    origin: str
    generation: int
    fingerprint: str


def origin_of(calendar_key: str, resource_id: str) -> str:
    """The origin of an event, in 40 hexadecimal digits.

    It stands in the marks of copies in people's calendars: made otherwise, all would be deleted and written anew.
    """
    return sha256("\x1f".join((calendar_key, resource_id, "")).encode()).hexdigest()[:40]


def instance_origin(origin: str, key: str) -> str:
    """The origin of one instance of the event `origin`; `key` is the `moment_key` of its original start.

    So it is the same whichever copy of the series it was taken from.
    """
    return sha256(f"instance\x1f{origin}\x1f{key}".encode()).hexdigest()[:40]


def copy_id(origin: str, target_calendar: str, generation: int) -> str:
    """The id of an origin's copy in a calendar.

    Lower-case base32hex, which is what Google allows in event ids and harmless everywhere else.
    """
    digest = sha256(f"copy\x1f{origin}\x1f{target_calendar}\x1f{generation}".encode()).digest()
    return "cs" + base64.b32hexencode(digest[:20]).decode().lower()


def looks_derived(uid: str) -> bool:
    """Whether a UID has the form of a copy's id; that alone proves nothing."""
    return _DERIVED.fullmatch(uid) is not None


def looks_marked(text: str | None) -> bool:
    """Whether a property has the form of a mark, whatever event it stands on."""
    return _MARK.fullmatch(text or "") is not None


def write_mark(key: bytes, origin: str, generation: int, fingerprint: str, target_calendar: str) -> str:
    """The mark of the copy of `origin` in `target_calendar`."""
    own_id = copy_id(origin, target_calendar, generation)
    body = f"{_VERSION};{origin};{generation};{fingerprint}"
    return f"{body};{_check(key, body, target_calendar, own_id)}"


def read_mark(text: str | None, uid: str, calendar: str, keys: Sequence[bytes]) -> Mark | None:
    """What a mark on the event `uid` in `calendar` says; None where it makes no copy of the event.

    None as well for a stray: a mark that was carried onto another event, or into another calendar.
    """
    body, _, check = (text or "").rpartition(";")
    parts = body.split(";")
    if len(parts) != 4 or parts[0] != _VERSION or not parts[2].isascii() or not parts[2].isdigit():
        return None
    _, origin, generation, fingerprint = parts
    if len(generation) > 9 or copy_id(origin, calendar, int(generation)) != uid:
        return None
    own = any(hmac.compare_digest(_check(key, body, calendar, uid), check) for key in keys)
    return Mark(MarkKind.OWN if own else MarkKind.FOREIGN, origin, int(generation), fingerprint)


def _check(key: bytes, body: str, calendar: str, uid: str) -> str:
    return hmac.digest(key, f"{body}\x1f{calendar}\x1f{uid}".encode(), "sha256").hex()[:32]


def meeting_key(uid: str) -> str:
    """The UID by which the same meeting is known in two calendars (rule 5).

    Case is folded. Exchange wraps foreign UIDs into its global object id (MS-OXOCAL 2.2.1.27) behind the marker
    `vCal-Uid`, and puts the date of an instance into bytes 16 to 19 of its own.
    """
    folded = uid.strip().casefold()
    if not folded.startswith(_GLOBAL_OBJECT_ID):
        return folded
    _, marker, wrapped = folded.partition(_VCAL_UID_MARKER)
    if marker:
        try:
            return bytes.fromhex(wrapped).rstrip(b"\x00").decode().strip().casefold()
        except ValueError:
            return folded
    return folded[:32] + "00000000" + folded[40:]
