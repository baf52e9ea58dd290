"""Answers are written by strangers."""

from __future__ import annotations

import pytest

from calendarsync.providers.caldav.xml import (
    GETETAG,
    Row,
    XmlError,
    calendar_multiget,
    read_conditions,
    read_multistatus,
    sync_collection,
)

BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>
<multistatus xmlns="DAV:"><response><href>&d;&d;&d;</href></response></multistatus>"""
EXTERNAL = b"""<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<multistatus xmlns="DAV:"><response><href>&x;</href></response></multistatus>"""
EMPTY_DTD = b'<!DOCTYPE multistatus><multistatus xmlns="DAV:"/>'


def rows_of(body: bytes) -> list[Row]:
    rows: list[Row] = []
    read_multistatus(body, rows.append)
    return rows


@pytest.mark.parametrize(
    "body",
    [
        *(BOMB, EXTERNAL, EMPTY_DTD, BOMB.decode().replace("1.0", "1.0").encode("utf-16")),
        *(b"", b" ", b"<html/>", b"<html><body>hello</body>", b'<multistatus xmlns="DAV:">', b"\x00\xff"),
        *(b"<multistatus/>", b'{"json": true}', b'<prop xmlns="DAV:"><response/></prop>'),
    ],
)
def test_what_is_no_multistatus_is_refused(body: bytes) -> None:
    with pytest.raises(XmlError):
        rows_of(body)
    assert read_conditions(body) == frozenset()


def test_no_row_is_taken_from_a_document_with_a_dtd() -> None:
    rows: list[Row] = []
    body = b'<!DOCTYPE m><multistatus xmlns="DAV:"><response><href>/a</href></response></multistatus>'
    with pytest.raises(XmlError):
        read_multistatus(body, rows.append)
    assert rows == []


def test_rows_of_nonsense_do_not_spoil_the_others() -> None:
    seen: list[tuple[str, int | None, str | None]] = []
    body = b"""<D:multistatus xmlns:D="DAV:" xmlns:X="urn:x"><!-- comment --><?pi?>
      <D:response/><D:response><D:href/></D:response><X:response/>text
      <D:response><D:href>/nothing</D:href></D:response>
      <D:response><D:href>/odd</D:href><D:status>what?</D:status><X:y><D:href>z</D:href></X:y></D:response>
      <D:response><D:href>/gone</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>
      <D:response><D:href> /a </D:href>
        <D:propstat><D:prop><D:getetag>wrong</D:getetag></D:prop><D:status>HTTP/1.1 404 no</D:status></D:propstat>
        <D:propstat><D:prop><D:getetag> "1" </D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
      </D:response>
      <D:response><D:href>/b</D:href><D:propstat><D:prop><D:getetag/></D:prop></D:propstat></D:response>
      <D:sync-token> token </D:sync-token></D:multistatus>"""
    token = read_multistatus(body, lambda row: seen.append((row.href, row.status, row.text(GETETAG))))
    assert seen == [
        ("/nothing", None, None),
        ("/odd", None, None),
        ("/gone", 404, None),
        ("/a", None, '"1"'),
        ("/b", None, None),
    ]
    assert token == "token"


def test_the_sync_token_property_of_a_row_is_not_the_answers() -> None:
    body = b"""<multistatus xmlns="DAV:"><response><href>/a</href><propstat><prop><sync-token>no</sync-token></prop>
      </propstat></response></multistatus>"""
    assert read_multistatus(body, lambda row: None) is None


def test_a_listing_of_100000_rows_is_read() -> None:
    row = (
        b'<d:response><d:href>/c/%d.ics</d:href><d:propstat><d:prop><d:getetag>"%d"</d:getetag></d:prop>'
        + (b"<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>")
    )
    body = b"".join(row % (number, number) for number in range(100_000))
    count = 0

    def on_row(row: Row) -> None:
        nonlocal count
        count += 1

    read_multistatus(b'<d:multistatus xmlns:d="DAV:">' + body + b"</d:multistatus>", on_row)
    assert count == 100_000


def test_what_a_server_said_is_escaped_in_requests() -> None:
    assert b"<D:sync-token>a&lt;b&amp;c</D:sync-token>" in sync_collection("a<b&c")
    assert b"<D:href>/a b&amp;c&lt;.ics</D:href>" in calendar_multiget(["/a b&c<.ics"])


def test_a_limit_is_never_sent() -> None:
    assert b"limit" not in sync_collection("")


def test_preconditions_are_read() -> None:
    body = b'<error xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><C:no-uid-conflict/></error>'
    assert read_conditions(body) == {"{urn:ietf:params:xml:ns:caldav}no-uid-conflict"}
