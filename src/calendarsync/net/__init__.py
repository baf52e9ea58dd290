"""The one outbound HTTP client: pooled, timed, size-capped, and kept away from private addresses."""

from calendarsync.net.client import HttpClient, Response
from calendarsync.net.credentials import BasicCredentials
from calendarsync.net.errors import (
    AddressRefused,
    CertificateInvalid,
    ConnectFailed,
    InsecureCredentials,
    InvalidUrl,
    NetError,
    ProtocolError,
    Timeout,
    TooLarge,
    TooManyRedirects,
)
from calendarsync.net.retry_after import retry_after_seconds
from calendarsync.net.urls import parse_url

__all__ = [
    "AddressRefused",
    "BasicCredentials",
    "CertificateInvalid",
    "ConnectFailed",
    "HttpClient",
    "InsecureCredentials",
    "InvalidUrl",
    "NetError",
    "ProtocolError",
    "Response",
    "Timeout",
    "TooLarge",
    "TooManyRedirects",
    "parse_url",
    "retry_after_seconds",
]
