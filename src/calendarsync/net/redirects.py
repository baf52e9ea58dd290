"""What a redirect changes about a request (RFC 9110 §15.4)."""

from functools import cache

from publicsuffixlist import PublicSuffixList
from yarl import URL

MAX_REDIRECTS = 5
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
PERMANENT_STATUSES = frozenset({301, 308})

# Safe methods (RFC 9110 §9.2.1, RFC 4918 §9.1, RFC 3253 §3.6, RFC 5323): they may be sent again anywhere, and
# their bodies hold a question and no calendar data.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "SEARCH"})


def redirected_method(method: str, status: int) -> str:
    """The method for the next hop: GET after a 303 that answers a write, else the same.

    Browsers also turn POST into GET after 301 and 302, which RFC 9110 permits; here a write would then look
    done.
    """
    return "GET" if status == 303 and method not in SAFE_METHODS else method


def keeps_credentials(source: URL, target: URL) -> bool:
    """Whether credentials for `source` may be sent to `target`.

    They may where the two share their registrable domain (an entry of the public suffix list, its private
    section included, and one label more), which lets caldav.icloud.com hand over to p42-caldav.icloud.com.
    Hosts without one (IP addresses, single labels, names under an unknown top-level domain) must be equal.
    TLS is never given up. Another port is another server, perhaps of another user of the machine, unless both
    ports are the default of their scheme.
    """
    if source.scheme == "https" and target.scheme != "https":
        return False
    if source.port != target.port and not (source.is_default_port() and target.is_default_port()):
        return False
    source_host, target_host = source.raw_host or "", target.raw_host or ""
    if source_host == target_host:
        return True
    domain = _registrable_domain(source_host)
    return domain is not None and domain == _registrable_domain(target_host)


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)  # bundled data, parsed in about 50 ms on the first redirect


def _registrable_domain(host: str) -> str | None:
    domain: str | None = _public_suffixes().privatesuffix(host)
    return domain
