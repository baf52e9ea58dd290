"""The pages as HTML. All that is not ours is escaped, and isolated from the direction of the text around it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlsplit

from fastapi.responses import HTMLResponse

from calendarsync.api.consent.outcomes import Outcome
from calendarsync.api.services import Services
from calendarsync.grants.registrations import NAMES

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{title} – CalendarSync</title>
<link rel="stylesheet" href="{base}/connect/style.css">
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
_POLICY = (
    "default-src 'none'; style-src 'self'; form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
)
_CODE = re.compile(r"`([^`]*)`")
_WITHDRAWN_AT = {
    "google": "https://myaccount.google.com/connections",
    "microsoft": "https://account.microsoft.com/privacy/app-access",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A calendar that may be picked. `connected`: it is connected in this account already."""

    id: str
    name: str
    read_only: bool
    connected: bool
    picked: bool


def base_of(services: Services) -> str:
    """The path below which the installation is reached."""
    return urlsplit(services.settings.public_url).path


def page(
    services: Services, title: str, body: str, *, status: int = 200, leads_to: str | None = None
) -> HTMLResponse:
    """`title` and `body` are HTML. `leads_to`: where a form of the page leads in the end, if not to us.

    Browsers hold every address that a form is redirected through against `form-action`, and with Microsoft these
    are an organisation's own, which we do not know; so all of https is let through there.
    """
    targets = "'self'"
    if leads_to is not None:
        parts = urlsplit(leads_to)
        targets += " https:" if parts.scheme == "https" else f" https: {parts.scheme}://{parts.netloc}"
    return HTMLResponse(
        _PAGE.format(title=title, body=body, base=escape(base_of(services))),
        status,
        headers={"Content-Security-Policy": _POLICY.format(targets=targets)},
    )


def outcome_page(
    services: Services, outcome: Outcome, provider: str, *, again: str | None = None
) -> HTMLResponse:
    """`again`: the address of ours at which the person may try once more."""
    name = NAMES.get(provider, "the provider")
    text = _CODE.sub(r"<code>\1</code>", escape(outcome.text.format(provider=name)))
    body = f"<p>{text}</p>"
    if again is not None:
        body += f'<p class="buttons"><a class="button" href="{escape(again)}">Try again</a></p>'
    response = page(services, escape(outcome.title.format(provider=name)), body, status=outcome.status)
    if outcome.status == 503:
        response.headers["Retry-After"] = "60"
    return response


def start_page(
    services: Services,
    *,
    provider: str,
    account: str,
    email: str | None,
    again: bool,
    action: str,
    token: str,
    leads_to: str,
) -> HTMLResponse:
    """Who asks for what. `email`: whose access it has to be; `again`: the connection is there already."""
    name = NAMES[provider]
    asks = "to go on using" if again else "to be connected to"
    whose = f" as <bdi><strong>{escape(email)}</strong></bdi>" if email else ""
    chosen = "" if again else "<li>Next you pick which of your calendars are connected.</li>"
    body = f"""<p><bdi><strong>{escape(account)}</strong></bdi> asks {asks} your calendars at {name}, \
to keep them in step with others.</p>
<p>Sign in at {name}{whose}. There you will be asked to allow:</p>
<ul>
<li>to see the list of your calendars;</li>
<li>to see, add, change and delete events in them.</li>
</ul>
<p>What follows:</p>
<ul>
{chosen}<li>Only times, or also titles, descriptions and places are copied, as the account sets it up.</li>
<li>You can withdraw your access at any time, \
<a href="{_WITHDRAWN_AT[provider]}" rel="noreferrer">at {name}</a>.</li>
</ul>
<p class="note">You do not know this account? Then close this page: nothing has been granted.</p>
<form method="post" action="{escape(action)}">
<input type="hidden" name="token" value="{escape(token)}">
<p class="buttons"><button type="submit">Continue to {name}</button></p>
</form>"""
    return page(services, f"Connect your calendars at {name}", body, leads_to=leads_to)


def choice_page(
    services: Services,
    choices: Sequence[Choice],
    *,
    provider: str,
    account: str,
    identity: str,
    action: str,
    token: str,
    leads_to: str | None,
    note: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    """Which calendars there are. `identity`: whose; `note`: what was wrong with the choice before."""
    hint = f'<p class="note" role="alert">{escape(note)}</p>' if note else ""
    listed = "".join(_choice(number, each) for number, each in enumerate(choices))
    free = any(not each.connected for each in choices)
    connect = '<button type="submit" name="do" value="connect">Connect</button>' if free else ""
    empty = "" if free else "<p>There is no calendar here that is not connected already.</p>"
    body = f"""<p>These are the calendars of <bdi><strong>{escape(identity)}</strong></bdi> at {NAMES[provider]}. \
Which of them is <bdi><strong>{escape(account)}</strong></bdi> to keep in step with others?</p>
{hint}{empty}<form method="post" action="{escape(action)}">
<input type="hidden" name="token" value="{escape(token)}">
<fieldset><legend><small>Only those that you pick are read.</small></legend>
{listed}</fieldset>
<p class="buttons">{connect}<button type="submit" name="do" value="cancel" class="second">Cancel</button></p>
</form>"""
    return page(services, "Pick your calendars", body, status=status, leads_to=leads_to)


def _choice(number: int, choice: Choice) -> str:
    notes = []
    if choice.connected:
        notes.append("connected already")
    if choice.read_only:
        notes.append("read-only: others can be kept in step with it, but nothing is written to it")
    about = "".join(f"<small>{escape(note)}</small>" for note in notes)
    state = " checked" if choice.picked and not choice.connected else ""
    state += " disabled" if choice.connected else ""
    return (
        f'<div class="calendar"><input type="checkbox" id="calendar-{number}" name="calendar" '
        f'value="{escape(choice.id)}"{state}><label for="calendar-{number}">'
        f"<bdi>{escape(choice.name or choice.id)}</bdi>{about}</label></div>\n"
    )


def done_page(services: Services) -> HTMLResponse:
    """That it is done, where the account has no page of its own to lead to."""
    return page(services, "Your calendars are connected", "<p>You can close this page.</p>")
