"""One calendar and one resource are one thing, however they are spelled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendarsync.providers.caldav import canonical_url
from calendarsync.providers.caldav.hrefs import absolute, decode, encode, member_id

CALENDAR = "https://dav.example.com/cal/me@example.com/work/"


@pytest.mark.parametrize(
    "spelling",
    [
        "https://dav.example.com/cal/me@example.com/work/",
        "https://dav.example.com/cal/me%40example.com/work",
        "HTTPS://DAV.Example.COM:443/cal/me@example.com/work/",
        "https://dav.example.com/cal/./me@example.com/x/../work/#top",
        "https://somebody:secret@dav.example.com/cal/me%40example.com/%77ork/",
        "  https://dav.example.com/cal//me@example.com/work//  ",
    ],
)
def test_all_spellings_of_a_calendar_are_one(spelling: str) -> None:
    assert canonical_url(spelling) == CALENDAR


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example/c/", "http://a.example/c/"),
        ("https://a.example/c/", "https://a.example:8443/c/"),
        ("https://a.example/c/", "https://a.example/C/"),
        ("https://a.example/a%2Fb/", "https://a.example/a/b/"),
        ("https://a.example/c/?x=1", "https://a.example/c/?x=2"),
    ],
)
def test_what_differs_stays_different(one: str, other: str) -> None:
    assert canonical_url(one) != canonical_url(other)


@pytest.mark.parametrize("text", ["", "calendar", "https://", "https:///path/", "ftp://a.example/", "//a/b"])
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        canonical_url(text)


def test_special_hosts_keep_their_form() -> None:
    assert canonical_url("http://[2001:DB8::1]:80/c") == "http://[2001:db8::1]/c/"
    assert canonical_url("https://kalender.größe.example") == "https://kalender.xn--gre-6ka8i.example/"


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("/cal/me@example.com/work/a%20b.ics", "a b.ics"),
        ("/cal/me%40example.com/work/a b.ics", "a b.ics"),
        ("https://other.example/cal/me@example.com/work/a%20b.ics", "a b.ics"),
        ("a%20b.ics", "a b.ics"),
        ("/cal/me@example.com/work/gr%C3%B6%C3%9Fe.ics", "größe.ics"),
        ("/cal/me@example.com/work/a%2Fb.ics", "a%2Fb.ics"),
        ("/cal/me@example.com/work/50%25.ics", "50%25.ics"),
        ("/cal/me@example.com/work/50%.ics", "50%25.ics"),
        ("/cal/me@example.com/work/%FF.ics", "%FF.ics"),
        ("/cal/me@example.com/work/", None),
        ("/cal/me@example.com/work", None),
        ("/cal/me@example.com/work/sub/", None),
        ("/cal/me@example.com/work/sub/a.ics", None),
        ("/cal/me@example.com/work2/a.ics", None),
        ("/elsewhere/a.ics", None),
    ],
)
def test_ids_of_members(href: str, expected: str | None) -> None:
    assert member_id("/cal/me@example.com/work/", href) == expected


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_encoding_and_decoding_agree(text: str) -> None:
    once = decode(text)
    assert decode(encode(once)) == once
    assert encode(once).isascii()
    assert decode(encode(encode(once))) == once


def test_hrefs_become_urls() -> None:
    assert absolute("https://a.example/x/", "/me@b/my cal/") == "https://a.example/me@b/my%20cal/"
    assert absolute("https://a.example/x/", "https://b.example/c/") == "https://b.example/c/"
    assert absolute("https://a.example/x/", "c/") == "https://a.example/x/c/"
