"""The spellings of a URL: one calendar and one resource must be one thing, however a server writes them.

A resource id is the resource's path relative to its collection, percent-decoded, except where decoding would
lose a distinction: an encoded slash stays `%2F`, a percent sign `%25`, bytes that are not UTF-8 stay `%XX`.
"""

from __future__ import annotations

import posixpath
import re
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit, urlunsplit

from yarl import URL

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ESCAPE = re.compile(r"((?:%[0-9A-Fa-f]{2})+)")
_CONTROLS = re.compile("[\x00-\x1f\x7f]")
_RAW = re.compile("[\x00-\x1f\x7f%]")  # a percent sign that begins no escape
_RESERVED = re.compile("[\x00-\x1f\x7f%/]")
_UNDECODABLE = re.compile("[\udc80-\udcff]")
_SAFE = "!$&'()*+,;=:@"  # with the unreserved characters: all that a path segment may hold (RFC 3986)


def canonical_url(url: str) -> str:
    """The identity of a collection, whatever its spelling: what two equal calendars have in common.

    Scheme and host in lower case, no default port, no user name, no fragment, one spelling of
    percent-encoding (`%40` and `@` are the same), no dot segments, one slash at the end. A query is kept.
    Raises ValueError for what is no absolute http or https URL.
    """
    parts = urlsplit(url.strip())
    scheme, host = parts.scheme.lower(), parts.hostname
    if scheme not in _DEFAULT_PORTS or not host:
        raise ValueError("not an absolute http or https URL")
    if not host.isascii():
        host = URL.build(scheme=scheme, host=host).raw_host or host
    if ":" in host:
        host = f"[{host}]"
    port = "" if parts.port in (None, _DEFAULT_PORTS[scheme]) else f":{parts.port}"
    path = encode(decode(parts.path or "/"))
    path = posixpath.normpath(path).replace("//", "/").rstrip("/") + "/"
    return urlunsplit((scheme, host + port, path, parts.query, ""))


def decode(path: str) -> str:
    """A path in the one spelling that is compared (see above)."""
    if "%" not in path:
        return _CONTROLS.sub(_escaped, path)
    parts = enumerate(_ESCAPE.split(path))  # every other part is escapes
    return "".join(_decode(part) if index % 2 else _RAW.sub(_escaped, part) for index, part in parts)


def encode(path: str) -> str:
    """The spelling of a decoded path or resource id that is sent in requests."""
    return "".join(
        part if _ESCAPE.fullmatch(part) else quote(part, safe=_SAFE + "/") for part in _ESCAPE.split(path)
    )


def path_of(href: str) -> str:
    """The path of an href, which may be a path or a URL (RFC 4918 section 8.3), as it is spelled there.

    Raw spaces and other characters that no URL may hold are left alone.
    """
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*", href)
    path = href[found.end() :] if found else href
    return path.partition("#")[0].partition("?")[0]


def member_id(collection_path: str, href: str) -> str | None:
    """The id of a member of the collection; None for the collection itself and for all that is elsewhere.

    `collection_path` is decoded and ends in a slash. Members that are collections themselves are left out.
    """
    path = path_of(href)
    if not path.startswith("/"):
        path = collection_path + path.removeprefix("./")
    path = decode(path)
    if not path.startswith(collection_path):
        return None
    name = path[len(collection_path) :]
    return None if not name or "/" in name else name


def member_url(collection: str, resource_id: str) -> str:
    """The URL of a member: always under the collection's own URL, whatever the id looks like."""
    parts = urlsplit(collection)
    return urlunsplit(parts._replace(path=encode(decode(parts.path) + resource_id)))


def absolute(base: str, href: str) -> str | None:
    """An href of an answer as a URL, with all characters encoded that need it; None where it can be none."""
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*", href)
    origin = found[0] if found else ""
    try:
        return urljoin(base, origin + encode(decode(path_of(href))))
    except ValueError:
        return None


def _decode(escapes: str) -> str:
    text = unquote_to_bytes(escapes).decode("utf-8", "surrogateescape")
    text = _RESERVED.sub(_escaped, text)
    return _UNDECODABLE.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", text)


def _escaped(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"
