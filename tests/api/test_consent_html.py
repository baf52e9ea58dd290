"""What others have chosen stands on the pages as text, whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import cast

import pytest
from fastapi.responses import HTMLResponse

from calendarsync.api.consent.html import Choice, choice_page, outcome_page, start_page
from calendarsync.api.consent.outcomes import UNAVAILABLE
from calendarsync.api.services import Services
from calendarsync.settings import Settings

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus='alert(1)' autofocus='",
    "</bdi></strong></main><form action='https://evil.example.com'>",
    "&lt;script&gt;",
    "{provider}{0}",
    "`code`",
]


class _Services:
    settings = Settings(public_url="https://calendar.example.com/prefix")


SERVICES = cast("Services", _Services())


class _Page(HTMLParser):
    def __init__(self, page: HTMLResponse) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.values: list[str] = []
        self.text = ""
        self.feed(bytes(page.body).decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def start(text: str) -> HTMLResponse:
    return start_page(
        SERVICES,
        provider="google",
        account=text,
        email=text,
        again=False,
        action="/connect/x",
        token="t",
        leads_to="https://accounts.google.com",
    )


def choices(text: str) -> HTMLResponse:
    return choice_page(
        SERVICES,
        [
            Choice(text, text, read_only=True, connected=False, picked=True),
            Choice(text, "", False, True, False),
        ],
        provider="microsoft",
        account=text,
        identity=text,
        action="/connect/calendars/x",
        token="t",
        leads_to=None,
        note=text,
    )


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("make", [start, choices], ids=["start", "choices"])
def test_what_others_have_chosen_is_text(make: Callable[[str], HTMLResponse], text: str) -> None:
    plain, page = _Page(make("plain")), _Page(make(text))
    assert page.tags == plain.tags
    assert page.names == plain.names
    assert page.text == plain.text.replace("plain", text)
    assert [value for value in page.values if value not in plain.values] in (
        [],
        [text] * plain.values.count("plain"),
    )


def test_addresses_are_below_the_servers_own() -> None:
    page = outcome_page(SERVICES, UNAVAILABLE, "google", again="/prefix/connect/x")
    assert "/prefix/connect/style.css" in _Page(page).values
    assert (page.status_code, page.headers["retry-after"]) == (503, "60")


@pytest.mark.parametrize(
    ("leads_to", "targets"),
    [
        (None, "form-action 'self';"),
        ("https://app.example.com/x?y", "form-action 'self' https:;"),
        ("http://127.0.0.1:3000/x", "form-action 'self' https: http://127.0.0.1:3000;"),
    ],
)
def test_forms_lead_no_further_than_they_have_to(leads_to: str | None, targets: str) -> None:
    page = choice_page(
        SERVICES,
        [],
        provider="google",
        account="a",
        identity="i",
        action="/",
        token="t",
        leads_to=leads_to,
    )
    assert targets in page.headers["content-security-policy"]
    assert "no calendar here" in bytes(page.body).decode()
