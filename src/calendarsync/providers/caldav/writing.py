"""What a server means by refusing a write, in our own words."""

from __future__ import annotations

from calendarsync.net import Response
from calendarsync.providers.base import ProviderError, Refused, Unavailable
from calendarsync.providers.caldav.session import meaning
from calendarsync.providers.caldav.xml import caldav, dav, read_conditions

# RFC 4791 section 5.3.2.1: in the same calendar. RFC 6638 section 3.2.4.1: in any calendar of the same person;
# Cyrus says so of every event, not of meetings alone.
_UID_TAKEN = {caldav("no-uid-conflict"), caldav("unique-scheduling-object-resource")}
_INVALID = {caldav("valid-calendar-data"), caldav("valid-calendar-object-resource")}
NEED_PRIVILEGES = dav("need-privileges")  # RFC 3744 section 7.1.1

_REASONS = {
    caldav("valid-calendar-data"): "The server finds this event's data invalid.",
    caldav("valid-calendar-object-resource"): "The server finds this event's data invalid.",
    caldav("supported-calendar-data"): "The server does not take this kind of calendar data.",
    caldav("supported-calendar-component"): "This calendar does not take events.",
    caldav("calendar-collection-location-ok"): "The server does not take events in this place.",
    caldav("max-resource-size"): "The server finds this event too large.",
    caldav("min-date-time"): "The server finds this event too far in the past.",
    caldav("max-date-time"): "The server finds this event too far in the future.",
    caldav("max-instances"): "The server finds that this event recurs too often.",
    caldav("max-attendees-per-instance"): "The server finds too many attendees in this event.",
    dav("quota-not-exceeded"): "The calendar's storage is full.",
    dav("sufficient-disk-space"): "The server's storage is full.",
}
_STATUSES = {
    400: "The server finds this event's data invalid.",
    403: "The server refuses this event.",
    409: "The server finds this event in conflict with another.",
    412: "The server refuses this event.",
    413: "The server finds this event too large.",
    415: "The server does not take this kind of calendar data.",
    422: "The server finds this event's data invalid.",
    507: "The calendar's storage is full.",
}


def conditions(response: Response) -> frozenset[str]:
    """The preconditions that the answer says are violated."""
    return read_conditions(response.body)


def uid_is_taken(response: Response) -> bool:
    """Whether the answer says that another event has this one's UID."""
    return not _UID_TAKEN.isdisjoint(conditions(response))


def finds_invalid(response: Response) -> bool:
    """Whether the answer says that the data is not what the server takes."""
    return not _INVALID.isdisjoint(conditions(response))


def names_a_reason(response: Response) -> bool:
    """Whether the answer says what is wrong with the event itself."""
    return not _REASONS.keys().isdisjoint(conditions(response))


def refusal(response: Response) -> ProviderError:
    """What an answer to a write means that is neither success nor one of the conditions asked for."""
    reason = next((_REASONS[name] for name in sorted(conditions(response)) if name in _REASONS), None)
    reason = reason or _STATUSES.get(response.status)
    if reason is not None:
        return Refused(reason)
    if response.status == 423:
        return Unavailable("The event is locked by another program.")
    if 400 <= response.status < 500 and response.status not in (404, 405, 410):
        return Refused("The server refuses this event.")
    return meaning(response)


def strong_etag(response: Response) -> str | None:
    """The ETag of what was written, if it says that the data was stored as sent (RFC 4791 section 5.3.4).

    GMX sends a weak one after PUT and a strong one, another, after GET.
    """
    etag = response.headers.get("ETag", "").strip()
    return etag if etag and not etag.startswith("W/") else None
