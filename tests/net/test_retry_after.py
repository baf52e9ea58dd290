from datetime import UTC, datetime

import pytest

from calendarsync.net import retry_after_seconds

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wednesday, 21-Oct-26 07:29:00 GMT", 60.0),
        ("Wed Oct 21 07:28:10 2026", 10.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("Wed, 21 Oct 2099 07:28:30 GMT", 86_400.0),
        ("9" * 5000, 86_400.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("١٢", None),
        ("Wed, 99 Oct 2026 07:28:30 GMT", None),
        ("x" * 5000, None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after_seconds({"Retry-After": value}, NOW) == seconds


def test_absent() -> None:
    assert retry_after_seconds({}, NOW) is None
