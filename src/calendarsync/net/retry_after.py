"""When a server wants to be asked again."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER = 86_400.0  # seconds; whatever a server says, it is asked again a day later


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait as `Retry-After` says (RFC 9110 §10.2.3): a number of them, or a date.

    `headers` are a response's (case-insensitive); `now` is aware. None without the header or where it is
    malformed; 0 for a date in the past; never more than `MAX_RETRY_AFTER`.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    if not value or len(value) > 64:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # an HTTP-date is always in GMT
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER)
