import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from calendarsync.net import InvalidUrl
from calendarsync.net.urls import join_url, parse_url

READ = {
    "https://example.org": "https://example.org/",
    "HTTPS://Example.ORG:8443?x=1": "https://example.org:8443/?x=1",
    "https://example.org/a%40b%2fc/../d;e,f?x=%40#fragment": "https://example.org/a%40b%2fc/../d;e,f?x=%40",
    "https://bücher.example/kalender ä.ics": "https://xn--bcher-kva.example/kalender%20%C3%A4.ics",
    "http://１２７。0。0。1/": "http://127.0.0.1/",
    # Python 3.13 writes the mapped address with dots, older ones without.
    "http://[::FFFF:127.0.0.1]:81/x": f"http://[{ip_address('::ffff:127.0.0.1')}]:81/x",
    "http://nas/cal/": "http://nas/cal/",
    "http://a_b.example./": "http://a_b.example./",
    "https://example.org/50%": "https://example.org/50%25",
}

REFUSED = [
    "", "example.org", "//example.org/", "ftp://example.org/", "file:///etc/passwd", "unix:///run/x.sock",
    "webcal://example.org/", "http+unix://x/", "http:///path", "http://", "https://:443/",
    "http://user@example.org/", "http://user:pass@example.org/", "http://@example.org/", "http://example.org\\@evil/",
    "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/",
    "http://127.0.0.1./", "http://127.0.0.256/", "http://1.2.3.4.5/", "http://foo.0x7f/", "http://foo.1/", "http://0x/",
    "http://[::1%25eth0]/", "http://[::1%eth0]/", "http://[::1/", "http://[127.0.0.1]/", "http://[v1.x]/", "http://::1/",
    "http://example.org:0/", "http://example.org:65536/", "http://example.org:x/", "http://example.org:-1/",
    "http://a..b/", "http://.a/", "http://-a/", "http://a%2fb/", "http://a b/", "http://a\tb/",
    "http://a\r\nX: y/",
    "http://example.org/\r\nX: y", "http://example.org/\x00", f"http://{'a' * 64}.example/", "http://a<b/",
    f"http://{'a.' * 130}example/", "http://example.org/" + "a" * 9000, "http://example.org/\ud800", "http://\ud800/",
]  # fmt: skip


@pytest.mark.parametrize(("text", "url"), READ.items())
def test_read(text: str, url: str) -> None:
    assert str(parse_url(text)) == url


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse_url(text)
    assert caught.value.code == "invalid_url"
    assert "pass" not in caught.value.message.replace("password", "")


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("/b%40c", "https://example.org/b%40c"),
        ("c?d#e", "https://example.org/dav/c?d"),
        ("../c", "https://example.org/c"),
        ("?y=2", "https://example.org/dav/x?y=2"),
        ("//other.example:444/z", "https://other.example:444/z"),
        ("http://other.example/z", "http://other.example/z"),
    ],
)
def test_joined(reference: str, url: str) -> None:
    assert str(join_url(URL("https://example.org/dav/x?y=1"), reference)) == url


@pytest.mark.parametrize(
    "reference", ["file:///x", "//u:p@h/", "http://[", "//127.1/", "gopher:x", "data:,x", "http:/x"]
)
def test_not_joined(reference: str) -> None:
    with pytest.raises(InvalidUrl):
        join_url(URL("https://example.org/"), reference)


@given(
    st.text(st.sampled_from(list("htps:/?#[]@.%0123456789abcdefx-_ ü。１\\\r\n\ud800")), max_size=40),
    st.booleans(),
)
def test_whatever_is_read_is_stable_and_names_a_plain_host(text: str, with_scheme: bool) -> None:
    with contextlib.suppress(InvalidUrl):
        url = parse_url(f"http://{text}" if with_scheme else text)
        assert url.scheme in {"http", "https"}
        assert parse_url(str(url)) == url
        assert url.raw_user is None
        host = url.raw_host or ""
        if host.rpartition(".")[2].isdigit() or ":" in host:
            assert str(ip_address(host)) == host
    with contextlib.suppress(InvalidUrl):
        join_url(URL("https://example.org/a/b"), text)
