"""Which of the calendars that were found is meant."""

from __future__ import annotations

from collections.abc import Sequence

from calendarsync.api.errors import invalid
from calendarsync.api.v1.connection_models import NewConnection
from calendarsync.api.v1.found import Found
from calendarsync.api.v1.grant_models import NewDelegatedConnection
from calendarsync.providers.caldav import canonical_url

NO_CALENDAR = "no such calendar here; it must be an id that discover tells"


def choose(found: Sequence[Found], wanted: NewConnection) -> Found:
    """Raises ApiError 422."""
    calendar_id: str | None = getattr(wanted, "calendar_id", None)
    if calendar_id is not None:
        return with_id(found, calendar_id)
    if isinstance(wanted, NewDelegatedConnection):
        return _main_of(found, wanted)
    if len(found) != 1:
        raise invalid(("calendar_id", f"is required: the account has {len(found)} calendars"))
    return found[0]


def with_id(found: Sequence[Found], calendar_id: str) -> Found:
    """Raises ApiError 422."""
    wanted = _spelled_alike(calendar_id)
    for each in found:
        if _spelled_alike(each.calendar.id) == wanted:
            return each
    raise invalid(("calendar_id", NO_CALENDAR))


def _main_of(found: Sequence[Found], wanted: NewDelegatedConnection) -> Found:
    """A person who has just joined has one calendar of their own, and lists others beside it."""
    for each in found:
        if each.calendar.primary:
            return each
    raise invalid(("calendar_id", f"is required: {wanted.delegated_user} has no main calendar"))


def _spelled_alike(calendar_id: str) -> str:
    """Equal for all spellings of a collection's URL; other ids have only one."""
    try:
        return canonical_url(calendar_id)
    except ValueError:
        return calendar_id
