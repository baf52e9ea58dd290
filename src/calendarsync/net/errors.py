"""Why a request got no answer.

    NetError                  code, message
    ├── InvalidUrl            invalid_url: not an http(s) URL that a request may be sent to
    ├── AddressRefused        address_refused: the host has no address that may be connected to
    ├── InsecureCredentials   insecure_credentials: a password or token would cross the network unencrypted
    ├── ConnectFailed         dns_failed, connection_refused, connect_failed, tls_failed, connection_lost
    ├── CertificateInvalid    certificate_expired, certificate_not_yet_valid, certificate_self_signed,
    │                         certificate_wrong_host, certificate_untrusted
    ├── Timeout               timeout
    ├── TooManyRedirects      too_many_redirects, redirect_loop
    ├── TooLarge              too_large: the body exceeds `max_bytes`
    └── ProtocolError         malformed_response, incomplete_response, unsupported_encoding, invalid_encoding

An answer with any status, 401 or 503 too, is a `Response`, not an error. Messages are our own words, fit to
be shown to users: of the request they name the host and nothing else, of the answer nothing.
"""


# ruff: noqa: N818 - the tree reads better without an Error at the end of each name


class NetError(Exception):
    """A request that ended without a response.

    `code` is stable and machine-readable (the tree above lists them); `message` is a sentence for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class InvalidUrl(NetError):
    """The URL, or the one of a redirect, cannot be used."""


class AddressRefused(NetError):
    """No address of the host lies where requests may go."""


class InsecureCredentials(NetError):
    """Credentials were withheld: plain http, and the host is outside the allowed private networks."""


class ConnectFailed(NetError):
    """The host was not found or not reached, or it hung up before it answered."""


class CertificateInvalid(NetError):
    """The server's TLS certificate does not prove that it is the host."""


class Timeout(NetError):
    """The time for the request, for connecting, or between two reads ran out."""


class TooManyRedirects(NetError):
    """More redirects than are followed, or a circle of them."""


class TooLarge(NetError):
    """The body, as received or as decompressed, exceeds the limit."""


class ProtocolError(NetError):
    """The answer is not valid HTTP, breaks off, or its content coding cannot be decoded."""
