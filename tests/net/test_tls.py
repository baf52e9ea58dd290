import datetime
import ssl

import pytest
import trustme
from aiohttp import web

from calendarsync.net import CertificateInvalid, ConnectFailed, HttpClient
from calendarsync.net.connector import default_ssl_context
from tests.net.conftest import LOOPBACK, Servers

HOST = "cal.example.com"


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text="hello")


async def serve(servers: Servers, certificate: trustme.LeafCert) -> str:
    port = await servers.http(hello, tls=certificate)
    servers.resolver.hosts[HOST] = [("127.0.0.1", port)]
    return f"https://{HOST}/"


async def test_a_trusted_certificate(servers: Servers) -> None:
    url = await serve(servers, servers.authority.issue_cert(HOST))
    client = await servers.client()
    assert (await client.request("GET", url)).body == b"hello"


def past(days: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("host", "certificate_wrong_host", "was issued for another host"),
        ("expired", "certificate_expired", "has expired"),
        ("early", "certificate_not_yet_valid", "is not valid yet"),
        ("stranger", "certificate_untrusted", "is not signed by a trusted authority"),
    ],
)
async def test_certificates_that_prove_nothing(servers: Servers, fault: str, code: str, words: str) -> None:
    certificate = {
        "host": lambda: servers.authority.issue_cert("other.example.com"),
        "expired": lambda: servers.authority.issue_cert(HOST, not_before=past(9), not_after=past(1)),
        "early": lambda: servers.authority.issue_cert(HOST, not_before=past(-1)),
        "stranger": lambda: trustme.CA().issue_cert(HOST),
    }[fault]()
    url = await serve(servers, certificate)
    client = await servers.client()
    with pytest.raises(CertificateInvalid) as caught:
        await client.request("GET", url)
    assert (caught.value.code, str(caught.value)) == (code, f"The TLS certificate of {HOST} {words}.")


async def test_a_wrong_address(servers: Servers) -> None:
    port = await servers.http(hello, tls=servers.authority.issue_cert("127.0.0.2"))
    client = await servers.client()
    with pytest.raises(CertificateInvalid) as caught:
        await client.request("GET", f"https://127.0.0.1:{port}/")
    assert caught.value.code == "certificate_wrong_host"


async def test_a_self_signed_certificate(servers: Servers, authority: trustme.CA) -> None:
    alone = trustme.CA()

    class SelfSigned:
        def configure_cert(self, context: ssl.SSLContext) -> None:
            with alone.private_key_pem.tempfile() as key, alone.cert_pem.tempfile() as certificate:
                context.load_cert_chain(certificate, key)

    port = await servers.http(hello, tls=SelfSigned())  # type: ignore[arg-type]
    client = await servers.client()
    with pytest.raises(CertificateInvalid) as caught:
        await client.request("GET", f"https://127.0.0.1:{port}/")
    assert caught.value.code == "certificate_self_signed"


async def test_the_system_decides_whom_to_trust_by_default(servers: Servers) -> None:
    url = await serve(servers, servers.authority.issue_cert(HOST))
    async with HttpClient(allowed_private_networks=LOOPBACK, resolver=servers.resolver) as client:
        with pytest.raises(CertificateInvalid):
            await client.request("GET", url)


def test_the_default_context_verifies() -> None:
    context = default_ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_a_server_that_speaks_no_tls(servers: Servers) -> None:
    port = await servers.http(hello)
    client = await servers.client()
    with pytest.raises(ConnectFailed) as caught:
        await client.request("GET", f"https://127.0.0.1:{port}/")
    assert caught.value.code == "tls_failed"
