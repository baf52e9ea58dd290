"""aiohttp's exceptions in the terms of `calendarsync.net.errors`."""

import ssl

import aiohttp
from yarl import URL

from calendarsync.net.connector import RefusedByPolicyError
from calendarsync.net.errors import (
    AddressRefused,
    CertificateInvalid,
    ConnectFailed,
    InvalidUrl,
    NetError,
    ProtocolError,
)
from calendarsync.net.urls import host_label

# OpenSSL's X509_V_ERR_* numbers, see x509_vfy.h.
_CERTIFICATE_FAULTS = {
    9: ("certificate_not_yet_valid", "is not valid yet"),
    10: ("certificate_expired", "has expired"),
    18: ("certificate_self_signed", "is self-signed"),
    19: ("certificate_self_signed", "is signed by a self-signed certificate that is not trusted"),
    62: ("certificate_wrong_host", "was issued for another host"),
    64: ("certificate_wrong_host", "was issued for another host"),
}
_UNTRUSTED = ("certificate_untrusted", "is not signed by a trusted authority")


def net_error(error: aiohttp.ClientError, url: URL) -> NetError:
    """The NetError for what aiohttp raised; its text tells the host and none of `error`'s own words."""
    host = host_label(url)
    kind: type[NetError] = ConnectFailed
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _certificate_invalid(error.certificate_error, host)
        case aiohttp.ClientConnectorError(os_error=RefusedByPolicyError()):
            return address_refused(url)
        case aiohttp.ClientSSLError():
            code, text = "tls_failed", f"No encrypted connection to {host} could be agreed on."
        case aiohttp.ClientConnectorDNSError():
            return dns_failed(url)
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            code, text = "connection_refused", f"{host} refused the connection."
        case aiohttp.ClientConnectorError():
            code, text = "connect_failed", f"{host} could not be reached."
        case aiohttp.InvalidURL():
            kind, code, text = InvalidUrl, "invalid_url", "The URL cannot be requested."
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            code, text = "connection_lost", f"{host} closed the connection before it answered."
        case aiohttp.ClientPayloadError():
            kind, code = ProtocolError, "incomplete_response"
            text = f"The response of {host} broke off before its end."
        case _:
            kind, code, text = ProtocolError, "malformed_response", f"{host} did not answer in valid HTTP."
    return kind(code, text)


def address_refused(url: URL) -> AddressRefused:
    return AddressRefused("address_refused", f"Requests to {host_label(url)} are not allowed.")


def dns_failed(url: URL) -> ConnectFailed:
    return ConnectFailed("dns_failed", f"The host {host_label(url)} was not found.")


def _certificate_invalid(error: Exception, host: str) -> CertificateInvalid:
    number = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    code, fault = _CERTIFICATE_FAULTS.get(number, _UNTRUSTED)
    return CertificateInvalid(code, f"The TLS certificate of {host} {fault}.")
