"""Reading URLs that users and servers wrote."""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from yarl import URL

from calendarsync.net.errors import InvalidUrl

MAX_URL_LENGTH = 8192  # characters

_PARTS = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE | re.ASCII)
_PLAIN_AUTHORITY = re.compile(r"([a-z0-9_.-]+)(?::([0-9]{1,5}))?", re.ASCII)
# RFC 3986 path and query. What already has this form is sent as it stands: servers compare hrefs byte by
# byte.
_PLAIN_REST = re.compile(r"(?:[/?](?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*)?", re.ASCII)
_NEVER = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")  # half a surrogate pair has no UTF-8 form
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


def parse_url(text: str) -> URL:
    """An absolute http or https URL, host in lower-case ASCII, without fragment; path and query as written.

    Refused as InvalidUrl: other schemes, user names in the URL, hosts that are not a DNS name or an IP
    address in its usual notation (no zone, and none of the octal, hexadecimal and shortened forms that
    resolvers take).
    """
    parts = None
    if len(text) <= MAX_URL_LENGTH and not _NEVER.search(text):
        parts = _PARTS.fullmatch(text)
    if parts is None:
        raise InvalidUrl("invalid_url", "The URL must start with http:// or https:// and name a host.")
    scheme, authority, rest = parts[1].lower(), parts[2], parts[3]
    if "@" in authority:
        raise InvalidUrl("invalid_url", "The URL must not contain a user name or password.")
    host, port = _split_authority(authority)
    if not _PLAIN_REST.fullmatch(rest):
        rest = URL(f"http://host{rest}").raw_path_qs
    if not rest.startswith("/"):
        rest = f"/{rest}"
    return URL(f"{scheme}://{host}{f':{port}' if port is not None else ''}{rest}", encoded=True)


def join_url(base: URL, reference: str) -> URL:
    """The target of a `Location` header (RFC 9110 §10.2.2): a URL reference relative to `base`."""
    if _PARTS.match(reference):
        return parse_url(reference)
    try:
        return parse_url(str(base.join(URL(reference, encoded=True))))
    except ValueError:
        raise InvalidUrl("invalid_url", "The server redirects to something that is not a URL.") from None


def host_label(url: URL) -> str:
    """The host as messages and logs name it."""
    return url.raw_host or ""


@lru_cache(maxsize=1024)  # every request to the same few hosts
def _split_authority(authority: str) -> tuple[str, int | None]:
    plain = _PLAIN_AUTHORITY.fullmatch(authority)
    try:
        if plain is not None:
            host, port = plain[1], int(plain[2]) if plain[2] else None
        else:
            parsed = URL(f"http://{authority}/")  # internationalized, bracketed or upper-case
            host, port = (parsed.raw_host or "").lower(), parsed.explicit_port
    except ValueError:
        host, port = "", None
    if ":" in host or "[" in authority:
        host = f"[{_ipv6(host)}]"
    else:
        _check_name(host)
    if port is not None and not 0 < port < 65536:
        raise InvalidUrl("invalid_url", "The port in the URL must be between 1 and 65535.")
    return host, port


def _ipv6(host: str) -> str:
    try:
        address = IPv6Address(host)
    except AddressValueError:
        raise InvalidUrl("invalid_url", "The host in the URL is not a valid IPv6 address.") from None
    if address.scope_id is not None:
        raise InvalidUrl("invalid_url", "The IPv6 address in the URL must not name a zone.")
    return address.compressed


def _check_name(host: str) -> None:
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidUrl("invalid_url", "The host in the URL is not a valid name.")
    # A name whose last label is a number is an IPv4 address to every resolver (WHATWG URL §3.5).
    if _NUMBER.fullmatch(labels[-1]):
        try:
            IPv4Address(host)
        except AddressValueError:
            raise InvalidUrl(
                "invalid_url", "The host in the URL is an unusual spelling of an IP address."
            ) from None
