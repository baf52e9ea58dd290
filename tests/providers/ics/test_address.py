"""The addresses of feeds."""

from __future__ import annotations

import pytest

from calendarsync.providers.base import Unreachable
from calendarsync.providers.ics import FeedAddress


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Example.com/a.ics?k=V%20w", "https://example.com/a.ics?k=V%20w"),
        ("http://example.com/a.ics", "http://example.com/a.ics"),
        ("webcal://example.com/a.ics", "https://example.com/a.ics"),
        ("WEBCALS://example.com/a.ics", "https://example.com/a.ics"),
        ("https://bo:secret@example.com/a.ics", "https://example.com/a.ics"),
        ("webcal://bo:secret@example.com/a.ics", "https://example.com/a.ics"),
        ("https://example.com/a@b.ics", "https://example.com/a@b.ics"),
        (" https://example.com/a.ics\n", "https://example.com/a.ics"),
        ("webcal:https://example.com/a.ics", "https://example.com/a.ics"),
        ("https://bo:p@ss@example.com/a.ics", "https://example.com/a.ics"),
    ],
)
def test_the_url(text: str, url: str) -> None:
    assert FeedAddress.parse(text).url == url


@pytest.mark.parametrize(
    "text", ["", "example.com/a.ics", "ftp://example.com/a", "https://", "webcal:example.com"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(Unreachable):
        FeedAddress.parse(text)


def test_nothing_of_an_address_is_shown_but_its_host() -> None:
    address = FeedAddress.parse("webcal://bo:canary@example.com:8443/canary/a.ics?token=canary")
    assert address.masked == "https://example.com:8443/…"
    assert "canary" not in repr(address)
    assert "canary" not in address.make_key()


def test_one_feed_has_one_key_whatever_the_spelling() -> None:
    spellings = ["https://example.com/a?k=1", "webcal://EXAMPLE.com/a?k=1", "http://example.com:80/%61?k=1"]
    assert len({FeedAddress.parse(text).make_key() for text in spellings}) == 1
    others = ["https://example.com/a?k=2", "https://example.com/b?k=1", "https://example.com:81/a?k=1"]
    others += ["https://example.org/a?k=1", "https://bo@example.com/a?k=1"]
    assert len({FeedAddress.parse(text).make_key() for text in [*spellings, *others]}) == 6


def test_an_address_is_read_again_as_it_was_kept() -> None:
    for text in ("https://b%40o:p%3A%20w%40@example.com/a.ics?k=%20", "http://example.com/a.ics"):
        address = FeedAddress.parse(text)
        assert FeedAddress.parse(address.text) == address
