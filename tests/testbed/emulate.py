"""`emulate`: authorization servers of Google and Microsoft that nobody of this project wrote (npm, pinned).

`npm ci --prefix tests/testbed/emulate` installs it. What it does not do, tests/testbed/oauth.py does: reuse of a
refresh token that ends a grant, an organisation's refusals, boxes that are not ticked, faults.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

from tests.testbed.process import free_port, running

FOLDER = Path(__file__).parent / "emulate"
CLIENT_ID, CLIENT_SECRET = "calendarsync", "canary-secret-of-the-client"
REDIRECT = "http://127.0.0.1:8000/connect/callback"
PEOPLE = ("ann@example.com", "bob@example.com")
_SEED = {
    "users": [{"email": email, "name": email.partition("@")[0].title()} for email in PEOPLE],
    "oauth_clients": [
        {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "name": "CalendarSync",
            "redirect_uris": [REDIRECT],
        }
    ],
}


@dataclass(frozen=True)
class Emulate:
    """Base URLs of both services, as the settings take them. No tenant stands in Microsoft's paths."""

    google: str
    microsoft: str

    @property
    def microsoft_auth_url(self) -> str:
        """A path takes the place of the tenant: this one leads where the base URL does (RFC 3986 section 5.2.4)."""
        return f"{self.microsoft}/."


def emulate_missing() -> str | None:
    """Why it cannot run here; None where it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (FOLDER / "node_modules" / "emulate").is_dir():
        return "emulate is not installed: npm ci --prefix tests/testbed/emulate"
    return None


@contextmanager
def emulate_server(log: Path) -> Iterator[Emulate]:
    google, microsoft = free_port(), free_port()
    asked = json.dumps({"google": google, "microsoft": microsoft, "seed": _SEED})
    # The second one is started when the first one listens.
    with running(("node", str(FOLDER / "server.mjs"), asked), microsoft, log):
        yield Emulate(f"http://127.0.0.1:{google}", f"http://127.0.0.1:{microsoft}")


async def consent(address: str, email: str) -> Mapping[str, str]:
    """What a person does who opens `address` and chooses an account: the query with which they are sent back."""
    async with httpx.AsyncClient() as browser:
        page = await browser.get(address)
        assert page.status_code == 200, page.text
        (form,) = [form for form in _Forms.of(page.text) if form.fields.get("email") == email]
        answer = await browser.post(urljoin(str(page.url), form.action), data=form.fields)
    assert answer.status_code == 302, answer.text
    target = answer.headers["location"]
    assert target.startswith(f"{REDIRECT}?"), target
    return dict(parse_qsl(urlsplit(target).query))


@dataclass
class _Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Form] = []

    @classmethod
    def of(cls, page: str) -> list[_Form]:
        parser = cls()
        parser.feed(page)
        return parser.found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(_Form(values["action"]))
        elif tag == "input" and self.found:
            self.found[-1].fields[values["name"]] = values["value"]
