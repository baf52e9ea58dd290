"""The XML of WebDAV: building requests, and reading answers that a stranger wrote.

Answers are parsed row by row, so that a listing of 100,000 events needs memory for its own bytes and for what
is kept of it, not for a tree. Entities are not resolved, DTDs are refused, nothing is ever loaded.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from lxml import etree

DAV = "DAV:"
CALDAV = "urn:ietf:params:xml:ns:caldav"
CALENDARSERVER = "http://calendarserver.org/ns/"
_PREFIXES = {DAV: "D", CALDAV: "C", CALENDARSERVER: "S"}

_STATUS_LINE = re.compile(r"\s*(?:HTTP/\d(?:\.\d)?\s+)?(\d{3})\b")


def dav(name: str) -> str:
    """The qualified name of an element of RFC 4918 and its extensions."""
    return f"{{{DAV}}}{name}"


def caldav(name: str) -> str:
    """The qualified name of an element of RFC 4791 and its extensions."""
    return f"{{{CALDAV}}}{name}"


def calendarserver(name: str) -> str:
    """The qualified name of an element of Apple's extensions."""
    return f"{{{CALENDARSERVER}}}{name}"


GETETAG = dav("getetag")
CALENDAR_DATA = caldav("calendar-data")
_RESPONSE = dav("response")
_HREF = dav("href")
_STATUS = dav("status")
_PROPSTAT = dav("propstat")
_PROP = dav("prop")
_SYNC_TOKEN = dav("sync-token")


class XmlError(Exception):
    """Not a document of the expected kind: broken, another root element, or with a DTD."""


@dataclass(frozen=True, slots=True)
class Row:
    """A DAV:response (RFC 4918 section 14.24).

    `status` is its own, None where it has propstats instead or where its text makes no sense. `properties`
    are those with a status of 2xx, by qualified name; they are valid until the next row is read.
    """

    href: str
    status: int | None
    properties: Mapping[str, etree._Element] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """A property's text without white space around it; None where it is missing or empty."""
        element = self.properties.get(name)
        return (element.text or "").strip() or None if element is not None else None

    def hrefs(self, name: str) -> list[str]:
        """The DAV:href elements inside a property."""
        element = self.properties.get(name)
        found = element.iter(_HREF) if element is not None else ()
        return [text for href in found if (text := (href.text or "").strip())]

    def children(self, name: str) -> frozenset[str]:
        """The qualified names of all elements inside a property."""
        element = self.properties.get(name)
        if element is None:
            return frozenset()
        return _tags(element)


def read_multistatus(body: bytes, on_row: Callable[[Row], None]) -> str | None:
    """Read a DAV:multistatus (RFC 4918 section 13) and return its DAV:sync-token (RFC 6578 section 6.4), if
    any.

    Rows without an href are left out. Raises XmlError; rows that came before the error have been handed over.
    """
    token: str | None = None
    try:
        parser = etree.iterparse(
            io.BytesIO(body),
            events=("end",),
            tag=(_RESPONSE, _SYNC_TOKEN),
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        checked = False
        for _, element in parser:
            if not checked:
                _refuse_dtd(element)
                checked = True
            parent = element.getparent()
            if parent is None or parent.getparent() is not None:
                continue  # a property of the same name
            if element.tag == _SYNC_TOKEN:
                token = (element.text or "").strip() or None
                continue
            row = _row(element)
            if row is not None:
                on_row(row)
            element.clear()
            while element.getprevious() is not None:
                del parent[0]
        root = parser.root
    except etree.XMLSyntaxError as error:
        raise XmlError from error
    if root is None or root.tag != dav("multistatus"):
        raise XmlError
    _refuse_dtd(root)
    return token


def read_conditions(body: bytes) -> frozenset[str]:
    """The preconditions that a DAV:error body names (RFC 4918 section 16); empty where it is no such body."""
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        return frozenset()
    if root is None or root.tag != dav("error"):
        return frozenset()
    return _tags(root)


def propfind(names: Iterable[str]) -> bytes:
    """A PROPFIND body (RFC 4918 section 9.1) that asks for the properties of these qualified names."""
    return _document("D:propfind", _prop(names))


def sync_collection(token: str) -> bytes:
    """A sync-collection body (RFC 6578 section 3.2); the empty token asks for everything.

    It never holds a DAV:limit: Xandikos then cuts the listing short and returns the newest token all the
    same, and Nextcloud leaves out the 507 row, so that what was cut off would be lost.
    """
    body = f"<D:sync-token>{escape(token)}</D:sync-token><D:sync-level>1</D:sync-level>{_prop([GETETAG])}"
    return _document("D:sync-collection", body)


def calendar_multiget(hrefs: Iterable[str]) -> bytes:
    """A calendar-multiget body (RFC 4791 section 7.9)."""
    rows = "".join(f"<D:href>{escape(href)}</D:href>" for href in hrefs)
    return _document("C:calendar-multiget", _prop([GETETAG, CALENDAR_DATA]) + rows)


def _document(root: str, content: str) -> bytes:
    namespaces = " ".join(f'xmlns:{prefix}="{uri}"' for uri, prefix in _PREFIXES.items())
    return f'<?xml version="1.0" encoding="utf-8"?>\n<{root} {namespaces}>{content}</{root}>'.encode()


def _prop(names: Iterable[str]) -> str:
    return f"<D:prop>{''.join(map(_empty, names))}</D:prop>"


def _empty(name: str) -> str:
    namespace, _, local = name[1:].partition("}")
    return f"<{_PREFIXES[namespace]}:{local}/>"


def _row(element: etree._Element) -> Row | None:
    href = status = None
    properties: dict[str, etree._Element] = {}
    for part in element:
        if part.tag == _HREF:
            href = href or (part.text or "").strip()
        elif part.tag == _STATUS:
            status = _code(part.text)
        elif part.tag == _PROPSTAT:
            properties |= _properties(part)
    return Row(href, status, properties) if href else None


def _properties(propstat: etree._Element) -> dict[str, etree._Element]:
    status = _code(propstat.findtext(_STATUS))
    if status is not None and not 200 <= status < 300:
        return {}
    return {child.tag: child for prop in propstat.iterchildren(_PROP) for child in prop.iterchildren("*")}


def _tags(element: etree._Element) -> frozenset[str]:
    return frozenset(child.tag for child in element.iterdescendants("*"))


def _code(text: str | None) -> int | None:
    found = _STATUS_LINE.match(text or "")
    return int(found[1]) if found else None


def _refuse_dtd(element: etree._Element) -> None:
    if element.getroottree().docinfo.internalDTD is not None:
        raise XmlError
